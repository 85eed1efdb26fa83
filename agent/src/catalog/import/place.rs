//! Where a gateway is, as far as its file's name says so.
//!
//! Providers name files by codes (`us-nyc.prod…`, `se-sto-wg-001`), by words (`USA-Washington`,
//! `my_expressvpn_south_korea_udp`) or by both (`AE Dubai`). Only what is in the tables counts: a
//! place that is not known is better than a wrong one.

mod cities;
mod countries;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use self::cities::{CITIES, STATES};
use self::countries::COUNTRIES;

/// A place for the launch menu.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Place {
    /// A country's English name; empty where it is not known.
    pub country: String,
    /// A city's, or a region's.
    pub city: String,
}

impl Place {
    /// This place, and of what it leaves open what the other says.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        let Self { country, city } = self;
        match (country.is_empty(), city.is_empty()) {
            (true, true) => other,
            (true, false) => Self { country: other.country, city },
            (false, _) => Self { country, city },
        }
    }
}

/// Words that come before the place.
const BEFORE: [&str; 27] = [
    "air",
    "bullet",
    "config",
    "express",
    "expressvpn",
    "guard",
    "gw",
    "hop",
    "hotspot",
    "ipvanish",
    "mullvad",
    "node",
    "nordvpn",
    "openvpn",
    "privacy",
    "protonvpn",
    "server",
    "shield",
    "smart",
    "smartvpn",
    "standard",
    "strong",
    "tcp",
    "tor",
    "tv",
    "udp",
    "wg",
];
/// The most words that a name of a place has.
const WORDS_MAX: usize = 6;

/// Where the gateway of a file is, by its name without the ending.
pub fn place(name: &str) -> Place {
    let words = words(name.strip_prefix("my_expressvpn_").unwrap_or(name));
    let first = words.iter().position(|word| !is_before(word)).unwrap_or(words.len());
    let reading = Reading { words: &words[first..] };
    reading
        .by_code()
        .or_else(|| reading.by_name())
        .or_else(|| reading.by_airport())
        .unwrap_or_default()
}

fn is_before(word: &Word) -> bool {
    let is_number = word.text.bytes().all(|b| b.is_ascii_digit());
    is_number || word.text == "vpn" || BEFORE.contains(&word.text.as_str())
}

/// A run of letters or of digits.
#[derive(Debug)]
struct Word {
    /// In lower case.
    text: String,
    /// It follows the word before it without anything between.
    joined: bool,
    /// What stands before it is a space.
    after_space: bool,
    /// As it stands there.
    written: String,
}

/// Cuts a name into words: at whatever is no letter or digit, between letters and digits, and
/// before the capital of `CamelCase`.
fn words(name: &str) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut before: Option<char> = None;
    for c in name.chars() {
        let goes_on = before.is_some_and(|before| {
            before.is_alphabetic()
                && c.is_alphabetic()
                && !(before.is_lowercase() && c.is_uppercase())
                || before.is_ascii_digit() && c.is_ascii_digit()
        });
        match words.last_mut() {
            Some(word) if goes_on => {
                word.text.extend(c.to_lowercase());
                word.written.push(c);
            }
            _ if c.is_alphanumeric() => words.push(Word {
                text: c.to_lowercase().collect(),
                joined: before.is_some_and(char::is_alphanumeric),
                after_space: before == Some(' '),
                written: c.to_string(),
            }),
            _ => {}
        }
        before = Some(c);
    }
    words
}

/// The words of a name from the place on.
struct Reading<'a> {
    words: &'a [Word],
}

impl Reading<'_> {
    /// `us-nyc`, `AE Dubai`, `us1234`: a country's code comes first. Of two codes with a number
    /// behind the second, that is where traffic leaves: `ca-us12`.
    fn by_code(&self) -> Option<Place> {
        let first = self.words.first()?;
        let mut country = country_of_code(&first.text)?;
        let mut rest = &self.words[1..];
        if let [second, number, ..] = rest
            && number.joined
            && number.text.bytes().all(|b| b.is_ascii_digit())
            && let Some(exit) = country_of_code(&second.text)
        {
            country = exit;
            rest = &rest[2..];
        }
        let city = city_of(country, rest);
        // `VN HoChiMinhCity`: nothing but a place stands behind the space.
        let is_all = first.written.chars().all(char::is_uppercase)
            && rest.first().is_some_and(|word| word.after_space)
            && rest.iter().all(|word| word.text.chars().all(char::is_alphabetic));
        let as_written = || {
            let words: Vec<_> = rest.iter().map(|word| word.written.as_str()).collect();
            words.join(" ")
        };
        let city = city.or_else(|| is_all.then(as_written)).unwrap_or_default();
        Some(Place { country: country.1.to_owned(), city })
    }

    /// `USA-Washington`, `Frankfurt`: a country or a city is named. The country that comes first
    /// counts, and a city of another one does not.
    fn by_name(&self) -> Option<Place> {
        let countries = &*BY_NAME;
        let (at, length, country) = named(self.words, |name| countries.get(name).copied())?;
        match country {
            Named::Country(country) => {
                let city = city_of(country, &self.words[at + length..]);
                // Some are both.
                let itself = self.words[at..at + length].iter().map(|word| word.text.as_str());
                let itself = city_named(country, &itself.collect::<String>());
                let city = city.or(itself).unwrap_or_default();
                Some(Place { country: country.1.to_owned(), city })
            }
            Named::City(code, city) => {
                let country = country_of_code(code)?;
                Some(Place { country: country.1.to_owned(), city: city.to_owned() })
            }
        }
    }

    /// `ams-034`, `gw1.dfw1`: an airport's code comes first, and a number behind it.
    fn by_airport(&self) -> Option<Place> {
        let [code, number, ..] = self.words else { return None };
        if code.text.len() != 3 || !number.text.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let mut with_code = CITIES.iter().filter(|(.., codes)| codes.contains(&&*code.text));
        let (country, city, _) = match (with_code.next()?, with_code.next()) {
            (only, None) => only,
            // Of several the one that airlines mean stands last among a city's own.
            (..) => CITIES.iter().find(|(.., codes)| codes.last() == Some(&&*code.text))?,
        };
        let country = country_of_code(country)?;
        Some(Place { country: country.1.to_owned(), city: (*city).to_owned() })
    }
}

type Country = countries::Country;

fn country_of_code(code: &str) -> Option<&'static Country> {
    let code = if code == "uk" { "gb" } else { code };
    COUNTRIES.iter().find(|(known, ..)| known.eq_ignore_ascii_case(code))
}

/// A city of this country that is named somewhere in these words, or else by its code in the first
/// of them: the first word of a name may look like a code, as that of San Jose does.
fn city_of(country: &Country, words: &[Word]) -> Option<String> {
    let by_name = || named(words, |name| city_named(country, name)).map(|(.., city)| city);
    let first = &words.first()?.text;
    let of_country = CITIES.iter().filter(|(code, ..)| *code == country.0);
    let mut by_code = of_country.filter(|(.., codes)| codes.contains(&first.as_str()));
    let by_code = by_code.next().map(|(_, city, _)| (*city).to_owned());
    let state = || {
        let state = STATES.iter().find(|(code, _)| code == first && country.0 == "US");
        state.map(|(_, name)| (*name).to_owned())
    };
    by_name().or(by_code).or_else(state)
}

fn city_named(country: &Country, name: &str) -> Option<String> {
    let mut cities = CITIES.iter().filter(|(code, ..)| *code == country.0);
    cities.find(|(_, city, _)| letters(city) == name).map(|(_, city, _)| (*city).to_owned())
}

/// The first run of words that is a name, the longest one from there: where it begins, of how many
/// words it is, and what it names.
fn named<T>(words: &[Word], find: impl Fn(&str) -> Option<T>) -> Option<(usize, usize, T)> {
    (0..words.len()).find_map(|at| {
        let most = WORDS_MAX.min(words.len() - at);
        (1..=most).rev().find_map(|length| {
            let name: String = words[at..at + length].iter().map(|word| &*word.text).collect();
            // Two letters are a code, if anything.
            let found = if name.len() > 2 { find(&name) } else { None };
            found.map(|found| (at, length, found))
        })
    })
}

#[derive(Debug, Clone, Copy)]
enum Named {
    Country(&'static Country),
    /// With its country's code.
    City(&'static str, &'static str),
}

/// Countries and cities by their names' letters. Where a city is called like a country, the country
/// is meant, which leads to the city too.
static BY_NAME: LazyLock<BTreeMap<String, Named>> = LazyLock::new(|| {
    let mut names = BTreeMap::new();
    for country in COUNTRIES {
        let (_, name, others) = country;
        for name in std::iter::once(name).chain(*others) {
            names.insert(letters(name), Named::Country(country));
        }
    }
    for (code, city, _) in CITIES {
        names.entry(letters(city)).or_insert(Named::City(code, city));
    }
    names
});

/// A name's letters in lower case.
fn letters(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn well_known_ways_to_name_files_tell_country_and_city() {
        for (name, country, city) in [
            // By codes.
            ("us-nyc.prod.surfshark.com_udp", "United States", "New York"),
            ("uk-lon.prod.surfshark.com_tcp", "United Kingdom", "London"),
            ("sg-sng-st009.prod.surfshark.com_udp", "Singapore", "Singapore"),
            ("ae-dub.prod.surfshark.com_udp", "United Arab Emirates", "Dubai"),
            ("se-sto-wg-001", "Sweden", "Stockholm"),
            ("mullvad_se_sto", "Sweden", "Stockholm"),
            ("us1234.nordvpn.com.udp", "United States", ""),
            ("ca-us12.nordvpn.com.tcp443", "United States", ""),
            ("us-ca.frootvpn", "United States", "California"),
            ("US-CA#5", "United States", "California"),
            ("wg-CH-FREE-1", "Switzerland", ""),
            ("node-nl-01.protonvpn.net", "Netherlands", ""),
            ("in-del.prod.surfshark.com_udp", "India", "New Delhi"),
            ("no-256b", "Norway", ""),
            // By codes and names.
            ("AE Dubai", "United Arab Emirates", "Dubai"),
            ("VN HoChiMinhCity", "Vietnam", "Ho Chi Minh City"),
            ("PA Panama City", "Panama", "Panama City"),
            ("SE Upplands Vasby", "Sweden", "Upplands Vasby"),
            ("us_california", "United States", "California"),
            ("UK London", "United Kingdom", "London"),
            ("ipvanish-US-New-York-nyc-a01", "United States", "New York"),
            ("AirVPN_NL-Alblasserdam_Alcyone_UDP-443", "Netherlands", "Alblasserdam"),
            ("bulletVPN-ZA-Johannesburg_2-joh02-tcp", "South Africa", "Johannesburg"),
            ("HotspotShield_NO_v4", "Norway", ""),
            ("standard.gb.london.tcp", "United Kingdom", "London"),
            ("pl-warsaw-tcp-443", "Poland", "Warsaw"),
            ("NO_oslo-UDP", "Norway", "Oslo"),
            // By names.
            ("USA-Washington", "United States", "Washington"),
            ("US-Washington_DC_2_TCP80_SMART", "United States", "Washington DC"),
            ("my_expressvpn_usa_-_new_york_udp", "United States", "New York"),
            ("my_expressvpn_trinidad_and_tobago_udp", "Trinidad and Tobago", ""),
            ("my_expressvpn_south_korea_-_2_udp", "South Korea", ""),
            ("Czech Republic", "Czechia", ""),
            ("DenmarkCopenhagen.ipv6.udp.1193", "Denmark", "Copenhagen"),
            ("United-States-San-Jose", "United States", "San Jose"),
            ("TorGuard.USA-LOS-ANGELES", "United States", "Los Angeles"),
            ("germany-2-aes128-udp", "Germany", ""),
            ("us-central_chicago-aes256-tcp", "United States", "Chicago"),
            ("KansasCity-Glinda-tcp", "United States", "Kansas City"),
            ("Frankfurt", "Germany", "Frankfurt"),
            ("Luxembourg", "Luxembourg", "Luxembourg"),
            ("MexicoCity-Lucha-udp", "Mexico", "Mexico City"),
            // By airports.
            ("ams-034", "Netherlands", "Amsterdam"),
            ("dub-006", "Ireland", "Dublin"),
            ("gw1.dfw1.udp", "United States", "Dallas"),
        ] {
            let Place { country: c, city: t } = place(name);
            assert_eq!((&*c, &*t), (country, city), "{name}");
        }
    }

    #[test]
    fn what_is_no_place_is_none() {
        for name in
            ["", "default", "wg0", "home", "client-7", "198.147.22.133_tcp", "-", "☃", "a b"]
        {
            assert_eq!(place(name), Place::default(), "{name}");
        }
    }

    #[test]
    fn the_tables_fit_together() {
        for (code, city, codes) in CITIES {
            assert!(country_of_code(code).is_some(), "{city} is in {code}");
            assert!(codes.iter().all(|code| code.len() == 3), "{city}: {codes:?}");
        }
        assert!(COUNTRIES.is_sorted_by_key(|(code, ..)| code));
        assert_eq!(COUNTRIES.len(), 250);
    }
}
