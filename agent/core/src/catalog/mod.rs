//! Providers, gateways, mappings, credentials: the records, and who may use which.

pub mod model;

pub use model::{
    Credential, CredentialSecret, Egress, ExpectedExit, Gateway, GatewayScope, KeySharing, Mapping,
    OnHooks, Owner, Provider, ProviderType, SelectionPolicy, Subject, WireguardOverrides, Workspace,
};
