//! A server of the catalog that is reached over TLS.

use stella_catalog::Catalog;
use stella_peers::TlsPair;

use crate::place::Place;
use crate::runs::every_process_hears;

#[test]
fn a_server_is_reached_as_its_address_says() {
    let Some(pair) = TlsPair::start() else { return };
    let TlsPair { server, plain, own, foreign, .. } = &pair;
    let place =
        Place::at(TlsPair::url(server, "127.0.0.1", &format!("sslmode=verify-full&{own}")), true);
    every_process_hears(&place);
    for (host, said) in [
        ("127.0.0.1", "sslmode=disable".to_owned()),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=require&{own}")),
        ("localhost", format!("sslmode=verify-ca&{own}")),
    ] {
        let opened = place.wait(Catalog::open(&TlsPair::url(server, host, &said)));
        opened.unwrap_or_else(|error| panic!("{said}: {error:?}"));
    }
    for (server, host, said, why) in [
        (server, "127.0.0.1", format!("sslmode=require&{foreign}"), "invalid peer certificate"),
        (server, "127.0.0.1", format!("sslmode=verify-full&{foreign}"), "invalid peer certificate"),
        (server, "127.0.0.1", "sslmode=verify-full".to_owned(), "UnknownIssuer"),
        (server, "localhost", format!("sslmode=verify-full&{own}"), "not valid for name"),
        (plain, "127.0.0.1", "sslmode=require".to_owned(), "does not support TLS"),
    ] {
        let refused =
            place.wait(Catalog::open(&TlsPair::url(server, host, &said))).expect_err("is refused");
        let cause = std::error::Error::source(&refused).map(ToString::to_string);
        assert!(cause.as_ref().is_some_and(|cause| cause.contains(why)), "{said}: {cause:?}");
    }
}
