//! What recognition makes of a document: records that are ready to be stored.

use stella_model::json::Document;
use stella_model::{Digest, Kind, RecordId};

use crate::facets::Facets;
use crate::format::Format;
use crate::revision::Revision;

/// A record as it comes out of one document, complete but for the feed it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it is.
    pub kind: Kind,
    /// Its id within kind and feed.
    pub id: RecordId,
    /// Which version of that identity it is.
    pub revision: Revision,
    /// The format of `content`.
    pub format: Format,
    /// The canonical form of a JSON document, or the text unchanged.
    pub content: Vec<u8>,
    /// SHA-256 of `content`.
    pub content_digest: Digest,
    /// Whether `content` is exactly the received document, so that the received bytes need no
    /// place of their own.
    pub verbatim: bool,
    /// What selectors ask for.
    pub facets: Facets,
}

/// Kind, id, revision and format of one document: what FORMATS "Identity" demands.
#[derive(Debug)]
pub(crate) struct Identity {
    pub(crate) kind: Kind,
    pub(crate) id: RecordId,
    pub(crate) revision: Revision,
    pub(crate) format: Format,
}

/// The canonical form of a document, written once and hashed once.
pub(crate) struct Content {
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
}

impl Content {
    pub(crate) fn canonical(document: &Document<'_>, received: usize) -> Content {
        // White space goes and escapes only shrink, so the received length is always enough.
        let mut bytes = Vec::with_capacity(received);
        document.write_canonical(&mut bytes);
        // Drafts wait in queues: what indentation took is given back.
        if bytes.len() < received / 4 * 3 {
            bytes.shrink_to_fit();
        }
        Content::new(bytes)
    }

    pub(crate) fn new(bytes: Vec<u8>) -> Content {
        let digest = Digest::of(&bytes);
        Content { bytes, digest }
    }
}

impl Draft {
    pub(crate) fn new(
        identity: Identity,
        content: Content,
        verbatim: bool,
        facets: Facets,
    ) -> Draft {
        Draft {
            kind: identity.kind,
            id: identity.id,
            revision: identity.revision,
            format: identity.format,
            content: content.bytes,
            content_digest: content.digest,
            verbatim,
            facets,
        }
    }
}
