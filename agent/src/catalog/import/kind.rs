//! What a file is, by what stands in it.

/// What a provider's file describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A wg-quick text.
    Wireguard,
    /// An `.ovpn` text.
    Openvpn,
}

/// Words that begin a line of nearly every `.ovpn` text.
const OPENVPN_WORDS: [&str; 6] = ["client", "remote", "proto", "dev", "<ca>", "<connection>"];

/// What a text is. Both kinds are called `.conf`, so what stands in it comes first.
pub fn kind(text: &str, ending: &str) -> Option<Kind> {
    let mut lines = text.lines().map(|line| line.trim_start_matches('\u{feff}').trim());
    let by_line = lines.find_map(|line| {
        let is_section = ["[interface]", "[peer]"].iter().any(|it| line.eq_ignore_ascii_case(it));
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        match (is_section, OPENVPN_WORDS.contains(&first)) {
            (true, _) => Some(Kind::Wireguard),
            (false, true) => Some(Kind::Openvpn),
            (false, false) => None,
        }
    });
    let by_ending = || match ending {
        "ovpn" => Some(Kind::Openvpn),
        "conf" => Some(Kind::Wireguard),
        _ => None,
    };
    by_line.or_else(by_ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_a_file_comes_before_its_ending() {
        let wireguard = "# wg\r\n[Interface]\r\nMTU = 1280\r\n";
        let openvpn = "\u{feff}client\ndev tun\nremote a.example\n";
        for ending in ["conf", "ovpn", "txt", ""] {
            assert_eq!(kind(wireguard, ending), Some(Kind::Wireguard), "{ending}");
            assert_eq!(kind(openvpn, ending), Some(Kind::Openvpn), "{ending}");
        }
        assert_eq!(kind("", "conf"), Some(Kind::Wireguard));
        assert_eq!(kind("verb 3\n", "ovpn"), Some(Kind::Openvpn));
        assert_eq!(kind("[[provider]]\nname = \"client\"\n", "txt"), None);
    }
}
