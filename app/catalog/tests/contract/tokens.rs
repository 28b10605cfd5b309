//! Tokens.

use stella_catalog::{IdempotencyKey, Made, Mutation, NewToken, TokenFault};
use stella_model::{Digest, ErrorCode};
use stella_run::Millis;

use crate::place::{entry, mutation, on_both, tenant};

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
        let create = entry("token.create");
        let key = IdempotencyKey { key: "k".to_owned(), request: Digest::of(b"a token") };
        let once = Mutation { key: Some(&key), ..mutation(&create, 5) };
        let text = place.wait(place.catalog.add_token(&acme, &new, &once));
        let text = text.expect("is made").now().expect("is new");
        assert!(text.starts_with("ec1.acme/AQEBAQEBAQE/"), "{text}");
        // The same request again makes no other one, and its secret is nowhere.
        let again = place.wait(place.catalog.add_token(&acme, &new, &once));
        assert_eq!(again.expect("is known"), Made::Before("AQEBAQEBAQE".to_owned()));
        let ask = |text: &str, now| {
            place.wait(place.catalog.authenticate(text, Millis(now))).expect("reads")
        };
        let known = ask(&text, 99).expect("is known");
        assert_eq!((known.tenant, known.fault, known.token.used), (acme.clone(), None, None));
        assert_eq!((known.token.name.as_str(), &known.token.scopes), ("ci", &new.scopes));
        let fault = |now| ask(&text, now).expect("is known").fault;
        assert_eq!(fault(100), Some(TokenFault::Expired));
        let forged = text.replace("ec1.acme/", "ec1.other/");
        for bad in
            ["", "ec1.", "ec1.acme", "ec1.acme/AQEBAQEBAQE/", "ec1.A/b/c", &forged, &text[1..]]
        {
            assert_eq!(ask(bad, 50), None, "{bad}");
        }
        assert_eq!(ask(&format!("{text}x"), 50), None);
        let shown = format!("{new:?}");
        assert!(!shown.contains('2'), "no secret is shown: {shown}");
        let revoke = |id: &str| {
            let entry = entry("token.revoke");
            place.wait(place.catalog.revoke_token(&acme, id, &mutation(&entry, 60)))
        };
        assert_eq!(revoke("AAAAAAAAAAA").expect_err("is none").code(), ErrorCode::NotFound);
        revoke("AQEBAQEBAQE").expect("is revoked");
        assert_eq!(fault(61), Some(TokenFault::Revoked));
        let kept = place.wait(place.catalog.tokens(&acme)).expect("reads");
        assert_eq!((kept.len(), kept[0].revoked), (1, Some(Millis(60))));
        // To a minute.
        assert_eq!(kept[0].used, Some(Millis(99)));
        let _ = ask(&text, 60_099);
        let kept = place.wait(place.catalog.tokens(&acme)).expect("reads");
        assert_eq!(kept[0].used, Some(Millis(60_099)));
        assert_eq!(place.wait(place.catalog.tokens(&tenant("other"))).expect("reads"), []);
    });
}
