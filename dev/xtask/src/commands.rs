//! The commands, one module each.

pub(crate) mod demo;
pub(crate) mod fuzz;
pub(crate) mod test;
pub(crate) mod tools;
