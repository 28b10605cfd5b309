//! Figures of what is collected from the depot and of what is found damaged in it.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// What collections removed. Clones count together.
#[derive(Debug, Clone, Default)]
pub(crate) struct CollectionFigures {
    pub(crate) records: Counter,
    pub(crate) blobs: Counter,
    pub(crate) bytes: Counter,
    pub(crate) released: Counter,
    pub(crate) failures: Counter,
    pub(crate) busy: Counter,
    pub(crate) unreadable: Gauge,
    pub(crate) ended: Gauge,
}

impl CollectionFigures {
    pub(super) fn register(&self, to: &mut Registry) {
        let help = "Records of bundles, plans and parts that collections removed";
        to.register("depot_collected_records", help, self.records.clone());
        let help = "Blobs that collections removed";
        to.register("depot_collected_blobs", help, self.blobs.clone());
        let help = "Bytes that collections made room of";
        to.register("depot_collected_bytes", help, self.bytes.clone());
        let help = "Runs whose bundles were released because their days were over";
        to.register("depot_released_bundles", help, self.released.clone());
        let help = "Collections of a tenant that failed";
        to.register("depot_collection_failures", help, self.failures.clone());
        let help =
            "Collections of a tenant that did nothing because runs held its depot all the time";
        to.register("depot_busy_collections", help, self.busy.clone());
        let help = "Records of bundles that did not read in the last collection, which then removed no blob \
                    of their tenants";
        to.register("depot_unreadable_bundles", help, self.unreadable.clone());
        let help = "When this process last ended a collection of all tenants, none of them busy or failed, \
                    in seconds since 1970; 0 before the first";
        to.register("depot_collection_timestamp_seconds", help, self.ended.clone());
    }
}

/// What a scrub found, of all tenants.
#[derive(Debug, Default)]
pub(crate) struct ScrubFigures {
    pub(crate) blobs: Gauge,
    pub(crate) bytes: Gauge,
    pub(crate) damaged: Gauge,
    pub(crate) ended: Gauge,
}

impl ScrubFigures {
    /// A registry of them alone: a scrub is a process of its own, which nobody asks.
    pub(crate) fn registry(&self) -> Registry {
        let mut to = Registry::with_prefix("exporter");
        let help = "Blobs that the scrub read";
        to.register("depot_scrubbed_blobs", help, self.blobs.clone());
        to.register("depot_scrubbed_bytes", "Bytes that the scrub read", self.bytes.clone());
        let help = "Files that the scrub found damaged or missing";
        to.register("depot_damaged_files", help, self.damaged.clone());
        let help = "When the scrub ended, in seconds since 1970";
        to.register("depot_scrub_timestamp_seconds", help, self.ended.clone());
        to
    }
}
