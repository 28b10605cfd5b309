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

/// Bounds on what one record makes of a database or VEX repository for Trivy, where names, packages
/// and versions are multiplied. Over a bound is a line of the report with its reason, never a
/// truncation.
///
/// They are no options: what is reported is part of a bundle's bytes (INV-DET). "Largest seen" is of
/// some 22,000 public advisories and 1,700 VEX documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowLimits {
    /// Most names of one record: its id, aliases and upstream ids together; and most vulnerabilities
    /// that it names as related. Stops records that are nothing but names. Largest seen: 17, and 187
    /// related ones; errata of distributions list every CVE id of a kernel, hundreds.
    pub names: usize,
    /// Most ids under which what one record says of packages of languages is repeated, and most
    /// names of the vulnerability of one VEX statement. Stops copies without number. Largest seen:
    /// 8 CVE ids, 5 names.
    pub ids: usize,
    /// Most pairs of a CVE id and another name of one record about packages of languages: every such
    /// name stands for every such id. Largest seen: 72.
    pub name_pairs: usize,
    /// Most bytes of the rows of one record or statement, where several ids or packages share what it
    /// says; of what several records say of one key; and of what one record says that cannot be said.
    /// Stops a document of kilobytes that becomes gigabytes. Largest seen: 148 kB of an erratum with
    /// 140 CVE ids, 6.4 kB of packages of languages, 477 kB of a VEX statement, 2 kB under a key.
    pub row_bytes: usize,
    /// Most bytes of the rows of one VEX document, all its statements together. Stops one of megabytes
    /// that becomes gigabytes although each statement is within bounds. Largest seen: 7.9 MB.
    pub vex_document_bytes: usize,
    /// Most comparisons of the listed versions of a package with ranges of it that need Trivy's own
    /// reading. Stops time that is the product of two lists. Largest seen: 1,095.
    pub comparisons: usize,
    /// Most comparisons of versions with a fix with the ranges of other records on the same issue of a
    /// package. Stops the same, for every id of the records once more. Largest seen: 21.
    pub disputes: usize,
}

impl RowLimits {
    /// The product's bounds.
    pub const DEFAULT: RowLimits = RowLimits {
        names: 4_096,
        ids: 128,
        name_pairs: 4_096,
        row_bytes: 16 << 20,
        vex_document_bytes: 256 << 20,
        comparisons: 1 << 16,
        disputes: 1 << 12,
    };
}
