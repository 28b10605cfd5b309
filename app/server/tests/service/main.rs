//! The service as clients meet it: the real program, over HTTP, killed in the middle.

mod crashes;
mod depots;
mod disks;
mod document;
mod downloads;
mod elsewhere;
mod endings;
mod feeds;
mod follower;
mod kills;
mod ledger;
mod library;
mod machines;
mod oidc;
mod operator;
mod outages;
mod requests;
mod runs;
mod server;
mod storage;
mod telemetry;
mod tenancy;
mod tls;
