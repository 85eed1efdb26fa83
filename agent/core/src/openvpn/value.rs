//! What a parameter may be. An error says what was expected and never repeats the value.

/// What a parameter may be.
#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    /// Decimal digits, in these bounds.
    Number(u32, u32),
    /// One of these, letter by letter.
    OneOf(&'static [&'static str]),
    /// Anything that can be printed.
    Text,
    /// Names of TLS ciphers, suites or groups between colons.
    Suites,
    /// Bits of a certificate's key usage.
    Hex,
    /// A release of openvpn 2.
    Release,
}

/// How many parameters a directive has, and which.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parameters {
    required: &'static [Value],
    optional: &'static [Value],
    /// Any number of these behind the others.
    more: Option<Value>,
}

impl Parameters {
    pub const NONE: Self = Self::of(&[]);

    pub const fn of(required: &'static [Value]) -> Self {
        Self { required, optional: &[], more: None }
    }

    pub const fn or(mut self, optional: &'static [Value]) -> Self {
        self.optional = optional;
        self
    }

    pub const fn and_more(mut self, value: Value) -> Self {
        self.more = Some(value);
        self
    }

    /// Whether these are parameters of such a directive.
    pub fn check(&self, parameters: &[String]) -> Result<(), String> {
        let most = self.required.len() + self.optional.len();
        let too_many = self.more.is_none() && parameters.len() > most;
        if parameters.len() < self.required.len() || too_many {
            return Err(counted(self.required.len(), most, self.more.is_some()));
        }
        let named = self.required.iter().chain(self.optional);
        let expected = named.copied().chain(self.more.into_iter().cycle());
        let several = parameters.len() > 1;
        for ((value, text), number) in expected.zip(parameters).zip(1_u32..) {
            value
                .check(text)
                .map_err(|why| if several { format!("parameter {number}: {why}") } else { why })?;
        }
        Ok(())
    }
}

fn counted(least: usize, most: usize, more: bool) -> String {
    match (least, most) {
        (least, _) if more => format!("expected at least {least} parameters"),
        (0, 0) => "expected no parameter".to_owned(),
        (1, 1) => "expected one parameter".to_owned(),
        (least, most) if least == most => format!("expected {least} parameters"),
        (least, most) => format!("expected {least} to {most} parameters"),
    }
}

impl Value {
    pub fn check(self, text: &str) -> Result<(), String> {
        let (fits, expected) = match self {
            Self::Number(least, most) => {
                let fits = number(text).is_some_and(|number| (least..=most).contains(&number));
                (fits, format!("a number from {least} to {most}"))
            }
            Self::OneOf(words) => (words.contains(&text), words.join(" or ")),
            Self::Text => (!text.is_empty(), "a text".to_owned()),
            Self::Suites => return suites(text),
            Self::Hex => (is_hex(text), "up to eight hexadecimal digits".to_owned()),
            Self::Release => (is_release(text), "a release of openvpn such as 2.4.0".to_owned()),
        };
        if fits { Ok(()) } else { Err(format!("expected {expected}")) }
    }
}

/// Decimal digits only: no sign, no blank.
pub(super) fn number(text: &str) -> Option<u32> {
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn is_hex(text: &str) -> bool {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    (1..=8).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit())
}

/// `sscanf("%u.%u.%u")` in openvpn, which wants all three.
fn is_release(text: &str) -> bool {
    let parts: Vec<_> = text.split('.').collect();
    parts.len() == 3
        && parts[0] == "2"
        && parts.iter().all(|part| Value::Number(0, 99).check(part).is_ok())
}

/// A TLS cipher without encryption, or with a server that nobody vouches for, must not be asked
/// for; OpenSSL's own `!aNULL` is welcome.
fn suites(text: &str) -> Result<(), String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_:+!@=.".contains(&b);
    if text.is_empty() || !text.bytes().all(allowed) {
        return Err("expected names of TLS ciphers, suites or groups between colons".to_owned());
    }
    let unsafe_name = |name: &&str| {
        let name = name.to_ascii_uppercase();
        !name.starts_with(['!', '-'])
            && ["NULL", "ANON", "ADH", "AECDH"].iter().any(|weak| name.contains(weak))
    };
    match text.split([':', '+']).find(unsafe_name) {
        Some(_) => Err("a cipher without encryption or authentication".to_owned()),
        None => Ok(()),
    }
}

/// Whether a cipher or digest is one that does nothing.
pub(super) fn is_none(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text == "none" || text.contains("null")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_bounded() {
        let good: &[(Value, &[&str])] = &[
            (Value::Number(0, 10), &["0", "10", "007"]),
            (Value::OneOf(&["0", "1"]), &["1"]),
            (Value::Suites, &["DEFAULT:@SECLEVEL=0", "TLS-DHE-RSA-WITH-AES-256-CBC-SHA:!aNULL"]),
            (Value::Hex, &["a0", "0x80"]),
            (Value::Release, &["2.4.0", "2.3.6"]),
        ];
        let bad: &[(Value, &[&str])] = &[
            (Value::Number(1, 10), &["", "0", "11", "-1", "+1", " 1", "1.5", "99999999999"]),
            (Value::OneOf(&["0", "1"]), &["", "bidirectional", "01"]),
            (Value::Text, &[""]),
            (
                Value::Suites,
                &["", "a b", "NULL-SHA256", "DEFAULT:eNULL", "ADH-AES256-SHA", "ALL+aNULL"],
            ),
            (Value::Hex, &["", "0x", "g", "123456789"]),
            (Value::Release, &["2.4", "3.0.0", "2.4.0.1", "2.x.1", "latest"]),
        ];
        let checks = |table: &[(Value, &[&str])], fits: bool| {
            for (value, texts) in table {
                for text in *texts {
                    assert_eq!(value.check(text).is_ok(), fits, "{value:?}: {text:?}");
                }
            }
        };
        checks(good, true);
        checks(bad, false);
    }

    #[test]
    fn parameters_are_counted() {
        let two = Parameters::of(&[Value::Text]).or(&[Value::Text]);
        let given = |count: usize| vec!["x".to_owned(); count];
        let fitting = |parameters: Parameters| {
            (0..5).filter(|count| parameters.check(&given(*count)).is_ok()).collect::<Vec<_>>()
        };
        assert_eq!(fitting(Parameters::NONE), [0]);
        assert_eq!(fitting(two), [1, 2]);
        assert_eq!(fitting(Parameters::of(&[Value::Text]).and_more(Value::Text)), [1, 2, 3, 4]);
    }
}
