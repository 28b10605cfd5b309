//! Where a depot is, and machines that use it.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use stella_depot::{
    Bucket, BucketPlace, BundleFile, BundleRecord, Credentials, Depot, DepotError, Patience,
    StoredFile,
};
use stella_model::{Digest, TenantId};
use stella_peers::SeaweedFs;

/// Where a depot is.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    weed: Option<(SeaweedFs, Bucket)>,
}

impl Place {
    pub(crate) fn weed(&self) -> Option<&SeaweedFs> {
        self.weed.as_ref().map(|(weed, _)| weed)
    }

    /// The depot as a machine sees it; every machine has a folder of its own where a bucket is shared.
    pub(crate) fn machine(&self, name: &str) -> Depot {
        self.of_tenant(name, "acme")
    }

    pub(crate) fn of_tenant(&self, name: &str, tenant: &str) -> Depot {
        let tenant: TenantId = tenant.parse().expect("a tenant");
        match &self.weed {
            None => Depot::at(&self.folder.path().join("one"), &tenant),
            Some((_, bucket)) => Depot::shared(&self.folder.path().join(name), &tenant, bucket),
        }
    }

    /// The folder of a machine.
    pub(crate) fn dir(&self, name: &str) -> PathBuf {
        let name = if self.weed.is_some() { name } else { "one" };
        self.folder.path().join(name).join("acme")
    }

    /// Lets a machine lose its folder, if that is but a cache.
    pub(crate) fn lose(&self, name: &str) {
        if self.weed.is_some() {
            std::fs::remove_dir_all(self.dir(name)).ok();
        }
    }

    /// Replaces the bytes of a file of the depot behind its back; none removes it.
    pub(crate) fn damage(&self, name: &str, bytes: Option<&[u8]>) {
        match (&self.weed, bytes) {
            (Some((weed, _)), Some(bytes)) => weed.put(&format!("some/where/acme/{name}"), bytes),
            (Some((weed, _)), None) => weed.remove(&format!("some/where/acme/{name}")),
            (None, Some(bytes)) => stella_testkit::overwrite(&self.dir("").join(name), bytes),
            (None, None) => std::fs::remove_file(self.dir("").join(name)).expect("is there"),
        }
    }

    /// Whether the place itself has a file.
    pub(crate) fn has(&self, name: &str) -> bool {
        match &self.weed {
            Some((weed, _)) => weed.get(&format!("some/where/acme/{name}")).is_some(),
            None => self.dir("").join(name).exists(),
        }
    }
}

/// A bucket, reached at an address.
pub(crate) fn bucket(endpoint: &str, patience: Patience) -> Bucket {
    let place = BucketPlace {
        address: "s3://evidence/some/where".parse().expect("an address"),
        endpoint: Some(endpoint.to_owned()),
        region: Some("us-east-1".to_owned()),
        credentials: Credentials::Given {
            key_id: SeaweedFs::CREDENTIALS[0].1.to_owned(),
            secret: SeaweedFs::CREDENTIALS[1].1.to_owned(),
        },
        patience,
    };
    Bucket::at(&place).expect("is set up")
}

/// Tries something in a folder and in a bucket.
pub(crate) fn on_both(test: impl Fn(&Place)) {
    test(&Place { folder: stella_testkit::temp_dir(), weed: None });
    in_bucket(test);
}

/// Tries something in a bucket.
pub(crate) fn in_bucket(test: impl Fn(&Place)) {
    if let Some(weed) = SeaweedFs::start() {
        let bucket = bucket(&weed.url(), Patience::default());
        test(&Place { folder: stella_testkit::temp_dir(), weed: Some((weed, bucket)) });
    }
}

/// Bytes that look like nothing else.
pub(crate) fn bytes(seed: u8, size: usize) -> Vec<u8> {
    let mut state = u32::from(seed) + 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// Keeps a bundle of such blobs.
pub(crate) fn keep_bundle(depot: &Depot, blobs: &[&[u8]]) -> BundleRecord {
    let file = |(index, bytes): (usize, &&[u8])| BundleFile {
        name: format!("file-{index}").parse().expect("a name"),
        stored: depot.put_blob(bytes).expect("keeps"),
    };
    let files = blobs.iter().enumerate().map(file).collect();
    let record = BundleRecord::read(depot, files, |_| Ok::<_, DepotError>(())).expect("is whole");
    depot.keep(&record.identity(), &record).expect("keeps");
    record
}

/// The name of a blob in the depot.
pub(crate) fn blob(file: &StoredFile) -> String {
    format!("blobs/{}/{}", file.digest.short(2), file.digest)
}

/// The name of a bundle in the depot.
pub(crate) fn bundle(key: &Digest) -> String {
    format!("bundles/{}/{key}.json", key.short(2))
}

/// Lets files of a folder look as if they were used long ago.
pub(crate) fn make_older(dir: &std::path::Path, age: Duration) {
    for entry in std::fs::read_dir(dir).into_iter().flatten() {
        let path = entry.expect("is there").path();
        if path.is_dir() {
            make_older(&path, age);
        } else {
            let file = std::fs::File::open(&path).expect("opens");
            file.set_modified(SystemTime::now() - age).expect("is its owner");
        }
    }
}
