//! Forms in which outputs are handed to other programs' ways of distribution.
//!
//! [`oci`] makes manifests and image layouts: values in, files out; nothing here talks to a registry.

pub mod oci;
