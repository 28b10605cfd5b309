//! Who may do what: scopes, roles, the table of requests, and whoever asks.

mod caller;
pub(crate) mod limits;
mod oidc;
mod table;

pub(crate) use caller::{Caller, Known, Peer};
pub(crate) use limits::Limits;
pub(crate) use oidc::Provider;
pub(crate) use table::{REQUESTS, Request, Role, Scope};
