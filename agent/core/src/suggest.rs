//! What somebody probably meant by a word that is not known.

/// The known word closest to `word`, letter case aside, if one is close enough to offer it.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if cfg!(fuzzing) {
        // Comparing words would be nearly all that is done.
        return None;
    }
    let word = word.to_ascii_lowercase();
    let length = word.chars().count();
    known
        .into_iter()
        // Comparing is slow, and texts may have thousands of unknown words.
        .filter(|other| other.chars().count().abs_diff(length) <= slips_allowed(other))
        .map(|other| (strsim::osa_distance(&word, &other.to_ascii_lowercase()), other))
        .filter(|(distance, other)| *distance <= slips_allowed(other))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, other)| other)
}

/// One slip in three letters.
fn slips_allowed(word: &str) -> usize {
    (word.len() / 3).clamp(1, 3)
}

/// ` Did you mean X?`, or nothing: to be put behind a sentence.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    closest(word, known).map_or_else(String::new, |other| format!(" Did you mean {other}?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_different_word_is_not() {
        let known = ["Address", "AllowedIPs", "Endpoint"];
        assert_eq!(closest("AllowedIP", known), Some("AllowedIPs"));
        assert_eq!(closest("adress", known), Some("Address"));
        assert_eq!(closest("Jmin", known), None);
        assert_eq!(did_you_mean("endpiont", known), " Did you mean Endpoint?");
    }
}
