//! Tokens.

use stella_catalog::{NewToken, TokenFault};
use stella_model::ErrorCode;
use stella_run::Millis;

use crate::place::{entry, on_both, tenant};

#[test]
fn a_token_opens_its_tenant_until_it_ends_or_is_revoked() {
    on_both(|place| {
        let acme = tenant("acme");
        let new = NewToken {
            name: "ci".to_owned(),
            scopes: vec!["export:read".to_owned(), "export:run".to_owned()],
            expires: Millis(100),
            id: [1; 8],
            secret: [2; 32],
        };
        let text =
            place.wait(place.catalog.add_token(&acme, &new, &entry("token.create"), Millis(5)));
        let text = text.expect("is made");
        assert!(text.starts_with("ec1.acme/AQEBAQEBAQE/"), "{text}");
        let ask = |text: &str, now| {
            place.wait(place.catalog.authenticate(text, Millis(now))).expect("reads")
        };
        let (owner, token) = ask(&text, 99).expect("is known");
        assert_eq!((owner, token.name.as_str(), token.scopes), (acme.clone(), "ci", new.scopes));
        assert_eq!(ask(&text, 100), Err(TokenFault::Expired));
        let forged = text.replace("ec1.acme/", "ec1.other/");
        for bad in
            ["", "ec1.", "ec1.acme", "ec1.acme/AQEBAQEBAQE/", "ec1.A/b/c", &forged, &text[1..]]
        {
            assert_eq!(ask(bad, 50), Err(TokenFault::Unknown), "{bad}");
        }
        assert_eq!(ask(&format!("{text}x"), 50), Err(TokenFault::Unknown));
        let revoke = |id: &str| {
            let entry = entry("token.revoke");
            place.wait(place.catalog.revoke_token(&acme, id, &entry, Millis(60)))
        };
        assert_eq!(revoke("AAAAAAAAAAA").expect_err("is none").code(), ErrorCode::NotFound);
        revoke("AQEBAQEBAQE").expect("is revoked");
        assert_eq!(ask(&text, 61), Err(TokenFault::Revoked));
        let kept = place.wait(place.catalog.tokens(&acme)).expect("reads");
        assert_eq!((kept.len(), kept[0].revoked), (1, Some(Millis(60))));
        assert_eq!(place.wait(place.catalog.tokens(&tenant("other"))).expect("reads"), []);
    });
}
