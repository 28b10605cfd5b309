//! The service as clients meet it: the real program, over HTTP, killed in the middle.

mod crashes;
mod depots;
mod document;
mod downloads;
mod feeds;
mod oidc;
mod requests;
mod runs;
mod server;
mod tenancy;
mod tls;
