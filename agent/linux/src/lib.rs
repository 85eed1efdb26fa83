//! Everything of the egress agent that touches the kernel.
