//! Revisions of profiles.

use stella_catalog::CatalogError;

use crate::place::{entry, mutation, on_both, tenant};

#[test]
fn a_revision_follows_the_one_that_its_writer_has_seen() {
    on_both(|place| {
        let acme = tenant("acme");
        let put = |document, seen, now| {
            let entry = entry("profile.put");
            let mutation = mutation(&entry, now);
            place.wait(place.catalog.put_profile(&acme, "nightly", document, seen, &mutation))
        };
        assert_eq!(put(Some("one"), 0, 5).expect("is new").revision, 1);
        assert!(matches!(put(Some("again"), 0, 6), Err(CatalogError::Conflict(_))));
        let second = put(Some("two"), 1, 7).expect("follows");
        assert_eq!((second.revision, second.by.as_str()), (2, "ada"));
        let conflict = put(Some("late"), 1, 8).expect_err("comes too late");
        assert_eq!(conflict.to_string(), "profile nightly is at revision 2, not at 1");
        let found = place.wait(place.catalog.profile(&acme, "nightly")).expect("reads");
        assert_eq!(found, Some(second));
        put(None, 2, 9).expect("is deleted");
        assert_eq!(place.wait(place.catalog.profile(&acme, "nightly")).expect("reads"), None);
        assert!(place.wait(place.catalog.profiles(&acme)).expect("reads").is_empty());
        assert_eq!(put(Some("anew"), 0, 10).expect("is new").revision, 4);
        let history =
            place.wait(place.catalog.profile_history(&acme, "nightly", 9)).expect("reads");
        let documents: Vec<_> = history.iter().map(|one| one.document.as_deref()).collect();
        assert_eq!(documents, [Some("anew"), None, Some("two"), Some("one")]);
        let names: Vec<String> = place
            .wait(place.catalog.profiles(&acme))
            .expect("reads")
            .into_iter()
            .map(|one| one.name)
            .collect();
        assert_eq!(names, ["nightly"]);
        // What was refused left no trace in the log either.
        let log = place.wait(place.catalog.audit_log(&acme, 0, 100)).expect("reads");
        assert_eq!(log.len(), 4);
    });
}
