//! OpenVPN: a gateway's `.ovpn` text becomes a config of our own, and openvpn's management
//! interface is spoken.

mod canonical;
mod ciphers;
mod config;
mod digest;
mod directive;
mod draft;
mod fingerprint;
mod hints;
mod inline;
mod lexer;
mod login;
pub mod machine;
pub mod management;
mod material;
mod parse;
mod pem;
mod profile;
mod pushed;
mod quoting;
mod remote;
mod setting;
mod strip;
mod supervision;
mod taken;
mod value;
mod version;

pub use canonical::canonical;
pub use config::{Accepted, Credentials, OpenvpnConfig};
pub use directive::{kept as kept_directives, known as known_directives};
pub use hints::DnsHints;
pub use inline::{FileReference, Inlined, file_references, inline_files};
pub use login::{Login, StaticChallenge};
pub use parse::{Check, SIZE_MAX, check, parse};
pub use profile::Profile;
pub use pushed::{PushReply, Pushed, ROUTES_MAX, Terms, Unusable};
pub use quoting::Unquotable;
pub use remote::{Family, Protocol, REMOTES_MAX, Remote, Transport};
pub use strip::{redact, strip_login};
pub use supervision::{Address, Supervision, Unsayable};
pub use version::version_of;
