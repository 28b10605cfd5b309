//! All that is in a depot, and what names what.

use std::collections::BTreeMap;

use stella_model::Digest;

use crate::shelf::{Entry, Shelf};
use crate::{
    BundleRecord, DepotError, Kept, MadeBundle, OutputRecord, PartRecord, StoredFile, kept,
};

/// The folder of what runs were decided to be. The engine knows what such a record says.
pub(crate) const PLANS: &str = "plans";

/// A record that names blobs.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) entry: Entry,
    /// What it is kept under.
    pub(crate) key: Digest,
    /// What it names; none if it does not read.
    pub(crate) files: Option<Vec<StoredFile>>,
}

/// What is in a depot. Files with names of others are left alone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Survey {
    pub(crate) blobs: BTreeMap<Digest, Entry>,
    pub(crate) plans: Vec<(Digest, Entry)>,
    /// With the bundle that was made; none if the record does not read.
    pub(crate) made: Vec<(Entry, Option<Digest>)>,
    pub(crate) bundles: Vec<Record>,
    /// Parts and outputs, which only spare work.
    pub(crate) caches: Vec<Record>,
}

impl Survey {
    /// Looks at everything. Blobs come first: one that is named later was used later too, and is seen to
    /// be younger when it is looked at again.
    pub(crate) fn of(shelf: &dyn Shelf) -> Result<Survey, DepotError> {
        let blobs =
            shelf.list("blobs")?.into_iter().filter_map(|entry| Some((key(&entry)?, entry)));
        let blobs = blobs.collect();
        let plans = shelf.list(PLANS)?.into_iter().filter_map(|entry| Some((key(&entry)?, entry)));
        let plans = plans.collect();
        let mut made = Vec::new();
        for entry in shelf.list(MadeBundle::FOLDER)? {
            let Some(bytes) = shelf.read(&entry.name)? else { continue };
            let bundle = kept::from_bytes::<MadeBundle>(&bytes).map(|made| made.bundle);
            made.push((entry, bundle));
        }
        let bundles = records::<BundleRecord>(shelf)?;
        let mut caches = records::<PartRecord>(shelf)?;
        caches.extend(records::<OutputRecord>(shelf)?);
        Ok(Survey { blobs, plans, made, bundles, caches })
    }
}

/// The records of a sort.
fn records<K: Kept>(shelf: &dyn Shelf) -> Result<Vec<Record>, DepotError> {
    let mut records = Vec::new();
    for entry in shelf.list(K::FOLDER)? {
        let Some(key) = key(&entry) else { continue };
        let Some(bytes) = shelf.read(&entry.name)? else { continue };
        let files = kept::from_bytes::<K>(&bytes).map(|record| record.files());
        records.push(Record { entry, key, files });
    }
    Ok(records)
}

/// What a file is kept under; none if its name is none of the depot's.
fn key(entry: &Entry) -> Option<Digest> {
    let name = entry.name.rsplit('/').next()?;
    name.strip_suffix(".json").unwrap_or(name).parse().ok()
}
