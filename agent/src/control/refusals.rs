//! What each call may be refused with. What does not stand here is never answered.

use egress_core::api::Code;

use super::calls::Call;

/// Whatever the call: who calls, how it was written, how much there is to do.
const ANY: &[Code] =
    &[Code::InvalidRequest, Code::Forbidden, Code::TooManyConnections, Code::DeadlineExceeded];
/// A call that has a body.
const BODY: &[Code] = &[Code::BodyTooLarge, Code::UnsupportedMediaType, Code::RequestTimeout];
/// A call that is carried through, and writes.
const WRITE: &[Code] = &[Code::StoreUnavailable, Code::Internal];
/// A call on a version of a record.
const VERSION: &[Code] =
    &[Code::NoSuchRecord, Code::PreconditionRequired, Code::PreconditionFailed];
const PUSH: &[Code] =
    &[Code::NoSuchRecord, Code::ProviderNotManaged, Code::SnapshotOutdated, Code::SnapshotReused];
/// Whatever may keep a container from its egress, or end it while it is asked for.
const ATTACH: &[Code] = &[
    Code::SessionExists,
    Code::TooManySessions,
    Code::NoSuchGateway,
    Code::NotOffered,
    Code::GatewayRequired,
    Code::UnsupportedType,
    Code::LimitReached,
    Code::KeyInUse,
    Code::NetnsInvalid,
    Code::NetnsGone,
    Code::NetnsIsHost,
    Code::NetnsInUse,
    Code::NetnsNotEmpty,
    Code::SealFailed,
    Code::DeviceFailed,
    Code::ConfigInvalid,
    Code::EndpointUnresolved,
    Code::EndpointRefused,
    Code::ResolverRefused,
    Code::EndpointUnreachable,
    Code::HandshakeTimeout,
    Code::TunnelDown,
    Code::AuthFailed,
    Code::TlsFailed,
    Code::ChallengeRequired,
    Code::ServerPushedExit,
    Code::PushRefused,
    Code::OpenvpnMissing,
    Code::OpenvpnTooOld,
    Code::OpenvpnFailed,
    Code::DataplaneUnavailable,
    Code::ShuttingDown,
    Code::Detached,
    Code::Cut,
];
/// Whatever may keep a session from its end, or one that has ended from the release of its container.
const DETACH: &[Code] = &[
    Code::NoSuchSession,
    Code::NetnsGone,
    Code::NetnsInUse,
    Code::SealFailed,
    Code::ShuttingDown,
    Code::Internal,
];

impl Call {
    /// Every code that a refusal of the call may have.
    pub fn refusals(self) -> impl Iterator<Item = Code> {
        let own: &[&[Code]] = match self {
            Self::Attach => &[BODY, WRITE, ATTACH],
            Self::Session => &[&[Code::NoSuchSession]],
            Self::Detach => &[DETACH],
            Self::ResolveGateway => &[&[Code::NoSuchGateway, Code::AmbiguousGateway]],
            Self::Traffic => &[&[Code::DataplaneUnavailable]],
            Self::Apply => &[BODY, WRITE],
            Self::Push => &[BODY, WRITE, PUSH],
            Self::BackupStore => &[&[Code::StoreUnavailable]],
            Self::RotateKey => &[&[Code::StoreUnavailable, Code::ConfigInvalid]],
            Self::Record(_) => &[&[Code::NoSuchRecord]],
            Self::Create(_) => &[BODY, WRITE, &[Code::RecordExists]],
            Self::Update(_) => &[BODY, WRITE, VERSION, &[Code::RecordExists]],
            Self::Delete(_) => &[WRITE, VERSION, &[Code::RecordNeeded]],
            Self::Sessions
            | Self::Offers
            | Self::Status
            | Self::Connections
            | Self::Events
            | Self::Providers
            | Self::Gateways
            | Self::Mappings
            | Self::Credentials
            | Self::Workspaces
            | Self::Openapi => &[],
        };
        ANY.iter().chain(own.iter().copied().flatten()).copied()
    }
}
