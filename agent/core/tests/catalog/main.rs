//! The catalog: who is offered what, what an apply document says, what is refused.

mod apply;
mod lab;
mod records;
mod selection;
mod speed;
