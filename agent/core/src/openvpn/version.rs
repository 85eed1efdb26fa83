//! Which version an openvpn says that it is.

/// Major and minor number and the whole version, from the first line of what `--version` prints.
pub fn version_of(text: &str) -> Option<((u16, u16), &str)> {
    let version = text.lines().next()?.strip_prefix("OpenVPN ")?.split_ascii_whitespace().next()?;
    let (major, rest) = version.split_once('.')?;
    let minor = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    Some(((major.parse().ok()?, minor.parse().ok()?), version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_and_other_words_are_not() {
        let debian = "OpenVPN 2.6.14 x86_64-pc-linux-gnu [SSL (OpenSSL)]\nlibrary versions: x";
        assert_eq!(version_of(debian), Some(((2, 6), "2.6.14")));
        assert_eq!(version_of("OpenVPN 2.7_beta1 x"), Some(((2, 7), "2.7_beta1")));
        assert_eq!(version_of("OpenVPN 2.10.0"), Some(((2, 10), "2.10.0")));
        for text in ["", "OpenVPN", "OpenVPN x.y", "openvpn 2.6", "OpenVPN 26", "OpenVPN 2."] {
            assert_eq!(version_of(text), None, "{text:?}");
        }
    }
}
