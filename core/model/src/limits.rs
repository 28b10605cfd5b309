//! The bounds on everything that comes from outside (INV-LIMIT).

/// Bounds on input. Over a bound is a named rejection, never a truncation.
///
/// Each bound names the attack it stops. The defaults leave room above the largest real documents
/// seen (19.4 MB, 1.1 M values) and keep one process under its memory budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest document in bytes, uncompressed. Stops memory exhaustion by one document.
    pub document_bytes: u64,
    /// Most JSON values in one document. Stops trees that are far larger than their text.
    pub json_values: u64,
    /// Deepest nesting of JSON or XML. Stops stack exhaustion.
    pub depth: u32,
    /// Longest record id in bytes. Stops indexes that outgrow the data.
    pub id_bytes: usize,
    /// Most uncompressed bytes taken from one container. Stops decompression bombs.
    pub container_bytes: u64,
    /// Highest ratio of uncompressed to compressed bytes of one stream, once
    /// [`ratio_free_bytes`](Self::ratio_free_bytes) came out of it. Stops decompression bombs early.
    pub ratio: u64,
    /// Bytes that a stream may expand to before the ratio is looked at: small files of zeros are
    /// no attack.
    pub ratio_free_bytes: u64,
    /// Most members of one archive. Stops directories of nothing but names.
    pub members: u64,
    /// Containers within containers (a `.tar` in a `.zip`). Stops recursive archives.
    pub container_depth: u32,
    /// Largest zstd window in bytes that a reader allocates. Stops frames that claim gigabytes.
    pub zstd_window_log: u32,
    /// Largest part of a bundle in bytes, exclusive. Keeps every part in FAT32's and ustar's reach.
    pub part_bytes: u64,
    /// Largest manifest, provenance or signature file read into memory.
    pub manifest_bytes: u64,
}

impl Limits {
    /// The product's bounds; ADRs say why a figure changes.
    pub const DEFAULT: Limits = Limits {
        document_bytes: 64 << 20,
        json_values: 2_000_000,
        depth: 64,
        id_bytes: 1024,
        container_bytes: 1 << 40,
        ratio: 2_000,
        ratio_free_bytes: 256 << 20,
        members: 10_000_000,
        container_depth: 3,
        zstd_window_log: 27,
        part_bytes: 4 << 30,
        manifest_bytes: 64 << 20,
    };
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::DEFAULT
    }
}
