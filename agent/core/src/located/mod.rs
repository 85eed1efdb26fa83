//! TOML texts as values, with the places of their fields.

mod places;
mod toml;

pub use places::Places;
pub use toml::read as read_toml;
