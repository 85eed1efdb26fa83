//! The egress agent: everything it does.
