//! Names of the files of a bundle (FORMATS "The bundle").

use stella_model::{Digest, NameError, PartName, SetKey};

/// The manifest.
pub const EXPORT: &str = "export.json";
/// Detached signature over the manifest.
pub const EXPORT_SIG: &str = "export.json.sig";
/// Sigstore bundle over the manifest.
pub const EXPORT_BUNDLE: &str = "export.json.sigstore.json";
/// The provenance statement.
pub const PROVENANCE: &str = "provenance.json";
/// Sigstore bundle with the provenance as DSSE envelope.
pub const PROVENANCE_BUNDLE: &str = "provenance.json.sigstore.json";
/// Folder of further signatures, with its slash.
pub const SIGNATURES: &str = "signatures/";
/// The constant trusted root that lets cosign work offline.
pub const TRUSTED_ROOT: &str = "trusted_root.json";
/// What the bundle is, for people.
pub const README: &str = "README.md";
/// Licences and attributions.
pub const NOTICE: &str = "NOTICE.md";
/// For `sha256sum -c`.
pub const SHA256SUMS: &str = "SHA256SUMS";

/// The files that are no listed part, in the order in which a carrier begins with them.
pub const ENVELOPE: [&str; 5] = [EXPORT, EXPORT_SIG, EXPORT_BUNDLE, PROVENANCE, PROVENANCE_BUNDLE];

/// Whether a file is covered by signatures of its own instead of the manifest.
#[must_use]
pub fn is_envelope(name: &str) -> bool {
    ENVELOPE.contains(&name) || name.starts_with(SIGNATURES)
}

/// Folder of data parts, with its slash.
pub const DATA: &str = "data/raw/";
/// Folder of indexes, with its slash.
pub const INDEXES: &str = "indexes/";

/// Name of a data part: it depends on the content of the part, not on its position.
///
/// # Errors
/// [`NameError`] if kind and feed make a path over 100 bytes.
pub fn data_part(set: &SetKey, stored: &Digest) -> Result<PartName, NameError> {
    PartName::new(&format!("data/raw/{}/{}/p-{}.jsonl.zst", set.kind, set.feed, stored.short(24)))
}

/// Name of the index of the data part with this stored digest.
///
/// # Errors
/// [`NameError`] if kind and feed make a path over 100 bytes.
pub fn index_part(set: &SetKey, stored: &Digest) -> Result<PartName, NameError> {
    PartName::new(&format!("indexes/{}/{}/p-{}.jsonl.zst", set.kind, set.feed, stored.short(24)))
}

/// Path of the index that belongs to a data part, `None` if the path is that of no data part.
#[must_use]
pub fn index_path(data: &str) -> Option<String> {
    data.strip_prefix(DATA).map(|rest| format!("{INDEXES}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_parts_and_indexes_are_paired_by_path() {
        let set: SetKey = "advisory/npm".parse().expect("a set");
        let digest = Digest::of(b"x");
        let data = data_part(&set, &digest).expect("fits");
        let index = index_part(&set, &digest).expect("fits");
        assert_eq!(index_path(data.as_str()).as_deref(), Some(index.as_str()));
        assert!(data.as_str().starts_with(DATA) && index.as_str().starts_with(INDEXES));
        assert_eq!(index_path(index.as_str()), None);
        assert_eq!(index_path("data/rawest/a"), None);
    }
}
