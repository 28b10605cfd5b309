//! The tables are made once, whoever comes first.

use stella_catalog::Catalog;
use stella_model::ErrorCode;

use crate::place::{Place, on_both, sqlite, tenant};

#[test]
fn migrating_again_changes_nothing() {
    on_both(|place| {
        place.wait(Catalog::migrate(&place.url)).expect("migrates again");
        assert!(
            !place
                .wait(place.catalog.add_tenant(&tenant("acme"), stella_run::Millis(9)))
                .expect("reads")
        );
    });
}

/// Lets several migrate at once, each with a connection of its own.
fn together(place: &Place, url: &str) {
    let tasks: Vec<_> = (0..8)
        .map(|_| {
            let url = url.to_owned();
            place.runtime.spawn(async move { Catalog::migrate(&url).await })
        })
        .collect();
    for task in tasks {
        place.wait(task).expect("ends").expect("migrates");
    }
    place.wait(Catalog::open(url)).expect("opens");
}

#[test]
fn several_may_begin_at_once() {
    let folder = stella_testkit::temp_dir();
    on_both(|place| match place.is_postgres {
        true => {
            let fresh = place.url.replace("/catalog", "/postgres");
            together(place, &fresh);
        }
        false => together(place, &sqlite(folder.path())),
    });
}

#[test]
fn an_address_that_is_none_is_told_without_its_secrets() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let error =
        runtime.block_on(Catalog::open("mysql://root:secret@host/db")).expect_err("is none");
    assert_eq!(error.code(), ErrorCode::Usage);
    assert_eq!(
        error.to_string(),
        "`mysql:` is no address of a catalog: it begins with sqlite: or postgres:"
    );
}
