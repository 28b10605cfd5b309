//! What a catalog promises, on SQLite and on a real PostgreSQL server.

mod audit;
mod kept;
mod migrate;
mod place;
mod profiles;
mod quotas;
mod runs;
mod tenancy;
mod tls;
mod tokens;
