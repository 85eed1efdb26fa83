//! Which part of a list is asked for.

/// Parameters of a call that lists something; those that are not given say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(Vec<(&'static str, String)>);

impl Filter {
    /// The same filter with one more parameter, if there is a value.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: Option<impl ToString>) -> Self {
        self.0.extend(value.map(|value| (name, value.to_string())));
        self
    }

    /// What is asked for at this path.
    pub(super) fn target(&self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(&self.0);
        format!("{path}?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_query_and_nothing_is_none() {
        assert_eq!(Filter::default().with("user", None::<&str>).target("/x"), "/x");
        let filter = Filter::default().with("user", Some("a b&c")).with("limit", Some(5));
        assert_eq!(filter.target("/x"), "/x?user=a+b%26c&limit=5");
    }
}
