//! Writing, and what the app says to it.

use follow_up_boss::FollowUpBoss;
use rollout_connector::http::Failure;
use rollout_connector::testing::{FakeApp, Reply, Running};
use rollout_connector::{Entities, Error, Issue, Upstream, Write, Written};
use serde_json::{Value, json};

use crate::API;

/// The app answers a creation with this.
fn creating(entity: &str, reply: Reply) -> Running {
    FakeApp::new()
        .on(&format!("POST {API}/{entity}"), reply)
        .start()
}

fn create(entity: &str, body: Value) -> Result<Written, Error> {
    FollowUpBoss::create(entity, Write::of(body))
}

fn item(written: Written) -> (String, Value) {
    match written {
        Written::Item(item) => (item.id.clone(), item.document()),
        other => panic!("{other:?}"),
    }
}

fn issue(pointer: &str, message: &str) -> Error {
    Error::InvalidInput(vec![Issue {
        pointer: pointer.into(),
        message: message.into(),
    }])
}

#[test]
fn a_person_goes_over_in_the_apps_terms() {
    let app = creating(
        "people",
        Reply::json(
            201,
            json!({"id": 9, "firstName": "Ada", "stage": "Lead", "price": 5}),
        ),
    );
    let written = create(
        "people",
        json!({
            "firstName": "Ada", "lastName": null, "averagePrice": 5, "assignedUserId": "7", "assignedPondId": null,
            "tags": ["Buyer"], "source": "Zillow", "stage": "Lead", "customCloseDate": "2026-03-01", "customGone": null,
            "emails": [{"value": "second@x.example", "type": "work", "isPrimary": false, "status": "Valid"}, {"value": "first@x.example", "isPrimary": true}],
            "phones": [{"value": "555", "type": null}], "addresses": [{"city": "Austin", "country": null, "extra": 1}],
        }),
    )
    .unwrap();
    assert_eq!(
        app.requests()[0].json_body(),
        json!({
            "firstName": "Ada", "lastName": "", "price": 5, "assignedUserId": 7, "assignedPondId": null,
            "tags": ["Buyer"], "source": "Zillow", "stage": "Lead", "customCloseDate": "2026-03-01", "customGone": null,
            "emails": [{"value": "first@x.example"}, {"value": "second@x.example", "type": "work"}],
            "phones": [{"value": "555"}], "addresses": [{"city": "Austin"}],
        })
    );
    // The app does not repeat custom fields; what was sent is what there is.
    assert_eq!(
        item(written),
        (
            "9".into(),
            json!({"name": "Ada", "firstName": "Ada", "stage": "Lead", "averagePrice": 5, "customCloseDate": "2026-03-01"})
        )
    );
}

#[test]
fn everything_wrong_is_said_at_once() {
    let app = creating("people", Reply::json(201, "{}"));
    let Err(Error::InvalidInput(issues)) = create(
        "people",
        json!({
            "firstName": 7, "stage": null, "assignedUserId": "seven", "tags": "Buyer", "emails": [{"type": "home"}],
            "averagePrice": "cheap", "jobTitle": "Boss", "created": "2026-03-01T00:00:00Z",
        }),
    ) else {
        panic!("accepted");
    };
    let mut pointers: Vec<&str> = issues.iter().map(|issue| issue.pointer.as_str()).collect();
    pointers.sort_unstable();
    assert_eq!(
        pointers,
        [
            "/assignedUserId",
            "/averagePrice",
            "/created",
            "/emails",
            "/firstName",
            "/jobTitle",
            "/stage",
            "/tags"
        ]
    );
    assert!(app.requests().is_empty());
}

#[test]
fn a_matched_person_is_read_again() {
    let _app = creating(
        "people",
        Reply::json(200, json!({"id": 9, "firstName": "Ada"})),
    );
    assert_eq!(
        create("people", json!({"firstName": "Ada"})),
        Ok(Written::Id("9".into()))
    );
}

#[test]
fn no_content_is_accepted() {
    let _app = creating("people", Reply::empty(204));
    assert_eq!(
        create("people", json!({"firstName": "Ada"})),
        Ok(Written::Accepted)
    );
}

#[test]
fn an_unreadable_answer_to_a_creation_may_have_been_applied() {
    for body in ["<html>", r#"{"id": 0}"#, "[]"] {
        let _app = creating("people", Reply::json(201, body));
        let Err(Error::Upstream(upstream)) = create("people", json!({"firstName": "Ada"})) else {
            panic!("{body}");
        };
        assert!(upstream.maybe_applied && !upstream.retryable);
    }
}

#[test]
fn a_creation_that_got_lost_may_have_been_applied() {
    for (reply, status) in [
        (Reply::failure(Failure::Timeout), None),
        (Reply::failure(Failure::Connection("reset".into())), None),
        (Reply::json(502, "bad gateway"), Some(502)),
    ] {
        let _app = creating("notes", reply);
        let Err(Error::Upstream(upstream)) = create("notes", json!({"personId": "1"})) else {
            panic!("{status:?}");
        };
        assert_eq!((upstream.status, upstream.maybe_applied), (status, true));
    }
    // Refusals have not been applied.
    for reply in [
        Reply::json(429, "{}").header("retry-after", "1.5"),
        Reply::json(403, "{}"),
    ] {
        let _app = creating("notes", reply);
        match create("notes", json!({"personId": "1"})) {
            Err(Error::RateLimited { retry_after_ms, .. }) => {
                assert_eq!(retry_after_ms, Some(1500))
            }
            Err(Error::Forbidden(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_denied_request_is_the_connectors_fault() {
    let _app = creating(
        "notes",
        Reply::failure(Failure::Denied("host not in the manifest".into())),
    );
    assert!(matches!(
        create("notes", json!({"personId": "1"})),
        Err(Error::Internal(_))
    ));
}

#[test]
fn a_stage_id_is_written_as_its_name() {
    let stages = json!({"_metadata": {}, "stages": [{"id": 2, "name": "Lead"}, {"id": 9, "name": "Under contract"}]});
    let app = FakeApp::new()
        .on(&format!("GET {API}/stages"), Reply::json(200, stages))
        .on(
            &format!("POST {API}/people"),
            Reply::json(201, json!({"id": 1})),
        )
        .start();
    create(
        "people",
        json!({"firstName": "Ada", "stage": "Lead", "stageId": "9"}),
    )
    .unwrap();
    assert_eq!(app.requests()[1].json_body()["stage"], "Under contract");
    assert_eq!(
        create("people", json!({"stageId": "5"})),
        Err(issue("/stageId", "there is no such stage"))
    );
    assert!(matches!(
        create("people", json!({"stageId": null})),
        Err(Error::InvalidInput(_))
    ));
}

#[test]
fn an_updated_person_is_read_again_with_its_custom_fields() {
    let app = FakeApp::new()
        .on(
            &format!("PUT {API}/people/9"),
            Reply::json(200, json!({"id": 9, "lastName": "Byron"})),
        )
        .on(
            &format!("GET {API}/people"),
            Reply::json(
                200,
                json!({"people": [{"id": 9, "lastName": "Byron", "customX": 1}]}),
            ),
        )
        .start();
    let write = Write {
        merge: vec!["tags".into()],
        ..Write::of(json!({"lastName": "Byron", "tags": ["new"]}))
    };
    let written = FollowUpBoss::update("people", "9", write).unwrap();
    assert_eq!(
        item(written).1,
        json!({"name": "Byron", "lastName": "Byron", "customX": 1})
    );
    assert_eq!(app.sent()[0], format!("PUT {API}/people/9?mergeTags=true"));

    FollowUpBoss::update("people", "9", Write::of(json!({"tags": null}))).unwrap();
    let requests = app.requests();
    assert_eq!(requests[2].url, format!("{API}/people/9"));
    assert_eq!(requests[2].json_body(), json!({"tags": []}));
}

#[test]
fn an_update_whose_record_cannot_be_read_is_still_written() {
    let _app = FakeApp::new()
        .on(&format!("PUT {API}/people/9"), Reply::empty(204))
        .on(&format!("GET {API}/people"), Reply::json(500, "oops"))
        .on(&format!("PUT {API}/notes/5"), Reply::empty(204))
        .start();
    let update = |entity, id| FollowUpBoss::update(entity, id, Write::of(json!({})));
    assert_eq!(update("people", "9"), Ok(Written::Id("9".into())));
    assert_eq!(update("notes", "5"), Ok(Written::Id("5".into())));
}

#[test]
fn the_apps_complaints_point_at_the_callers_fields() {
    for (entity, body, status, said, pointer) in [
        (
            "people",
            json!({"averagePrice": 5}),
            400,
            "Invalid value for field 'price'.",
            "/averagePrice",
        ),
        (
            "people",
            json!({"customFoo": 5}),
            400,
            "Invalid fields in the request body: customFoo.",
            "/customFoo",
        ),
        ("people", json!({}), 400, "Something else.", ""),
        (
            "tasks",
            json!({"personId": "1", "assignedUserId": "2"}),
            400,
            "Invalid value for field 'dueDate'.",
            "/dueDateTime",
        ),
        (
            "tasks",
            json!({"personId": "1", "assignedUserId": "2"}),
            404,
            "Person not found.",
            "/personId",
        ),
        (
            "notes",
            json!({"personId": "1", "body": "x"}),
            404,
            "Person not found.",
            "/personId",
        ),
        (
            "notes",
            json!({"personId": "1", "body": "x"}),
            400,
            "The person does not exist yet.",
            "/personId",
        ),
        (
            "notes",
            json!({"body": "x"}),
            400,
            "Missing required field 'personId'",
            "/personId",
        ),
        (
            "notes",
            json!({"personId": "1", "body": "x"}),
            400,
            "Invalid fields in the request body: description.",
            "",
        ),
    ] {
        let _app = creating(entity, Reply::json(status, json!({"errorMessage": said})));
        assert_eq!(
            create(entity, body),
            Err(issue(pointer, said)),
            "{entity}: {said}"
        );
    }
}

#[test]
fn every_field_that_the_app_does_not_know_is_pointed_at() {
    let said = "Invalid fields in the request body: customA, customB.";
    let _app = creating("people", Reply::json(400, json!({"errorMessage": said})));
    let Err(Error::InvalidInput(issues)) = create("people", json!({"customA": 1, "customB": 2}))
    else {
        panic!("accepted");
    };
    assert_eq!(
        issues
            .iter()
            .map(|issue| issue.pointer.as_str())
            .collect::<Vec<_>>(),
        ["/customA", "/customB"]
    );
}

#[test]
fn a_task_without_assignee_is_the_users_own() {
    let reply = Reply::json(
        201,
        json!({"id": 3, "assignedUserId": 7, "dueDate": "2026-03-01"}),
    );
    let app = FakeApp::new()
        .credential_field("userId", "7")
        .on(&format!("POST {API}/tasks"), reply)
        .start();
    let body = json!({"personId": "1", "name": "Call", "type": "Call", "isCompleted": false, "dueDateTime": "2026-03-01"});
    let written = create("tasks", body).unwrap();
    assert_eq!(
        app.requests()[0].json_body(),
        json!({"personId": 1, "assignedUserId": 7, "name": "Call", "type": "Call", "isCompleted": false, "dueDate": "2026-03-01"})
    );
    assert_eq!(
        item(written).1,
        json!({"assignedUserId": "7", "dueDateTime": "2026-03-01"})
    );

    create("tasks", json!({"personId": "1", "assignedUserId": "2"})).unwrap();
    assert_eq!(app.requests()[1].json_body()["assignedUserId"], 2);
    drop(app);
    let _app = FakeApp::new().start();
    assert_eq!(
        create("tasks", json!({"personId": "1"})),
        Err(issue("/assignedUserId", "a task needs an assignee"))
    );
}

#[test]
fn due_dates_and_due_times_are_kept_apart() {
    let app = FakeApp::new()
        .on(
            &format!("PUT {API}/tasks/3"),
            Reply::json(200, json!({"id": 3})),
        )
        .start();
    for (due, body) in [
        (
            json!("2026-03-01"),
            json!({"dueDate": "2026-03-01", "dueDateTime": null}),
        ),
        (
            json!("2026-03-01T12:00:00+02:00"),
            json!({"dueDateTime": "2026-03-01T10:00:00Z"}),
        ),
        (json!(null), json!({"dueDate": null, "dueDateTime": null})),
    ] {
        FollowUpBoss::update("tasks", "3", Write::of(json!({"dueDateTime": due}))).unwrap();
        assert_eq!(app.requests().last().unwrap().json_body(), body);
    }
    let wrong = FollowUpBoss::update("tasks", "3", Write::of(json!({"dueDateTime": "soon"})));
    assert!(matches!(wrong, Err(Error::InvalidInput(_))));
}

#[test]
fn deleting_reports_what_the_app_says() {
    let _app = FakeApp::new()
        .on(&format!("DELETE {API}/people/9"), Reply::empty(204))
        .on(
            &format!("DELETE {API}/people/8"),
            Reply::json(404, json!({"errorMessage": "Person not found."})),
        )
        .start();
    assert_eq!(FollowUpBoss::delete("people", "9", "key"), Ok(()));
    assert_eq!(
        FollowUpBoss::delete("people", "8", "key"),
        Err(Error::NotFound("Person not found.".into()))
    );
    assert!(matches!(
        FollowUpBoss::delete("users", "1", "key"),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn tags_are_applied_by_merging() {
    let app = FakeApp::new()
        .on(
            &format!("PUT {API}/people/9"),
            Reply::json(200, json!({"id": 9})),
        )
        .on(
            &format!("GET {API}/people"),
            Reply::json(200, json!({"people": [{"id": 9, "tags": ["old", "new"]}]})),
        )
        .start();
    let write = Write::of(json!({"tags": ["new"]}));
    let written = FollowUpBoss::perform("people", "9", "tags/apply", write).unwrap();
    assert_eq!(item(written).1, json!({"tags": ["old", "new"]}));
    let put = &app.requests()[0];
    assert_eq!(
        (put.url.as_str(), put.json_body()),
        (
            &*format!("{API}/people/9?mergeTags=true"),
            json!({"tags": ["new"]})
        )
    );
}

#[test]
fn tags_are_taken_off_by_replacing_the_list() {
    let person = json!({"people": [{"id": 9, "tags": ["a", {"id": 3, "name": "b"}, "B"]}]});
    let app = FakeApp::new()
        .on(&format!("GET {API}/people"), Reply::json(200, person))
        .on(
            &format!("PUT {API}/people/9"),
            Reply::json(200, json!({"id": 9})),
        )
        .start();
    let delete = |tags| {
        FollowUpBoss::perform(
            "people",
            "9",
            "tags/delete",
            Write::of(json!({"tags": tags})),
        )
    };
    delete(json!(["b", "unknown"])).unwrap();
    let put = &app.requests()[1];
    assert_eq!(
        (put.url.as_str(), put.json_body()),
        (&*format!("{API}/people/9"), json!({"tags": ["a", "B"]}))
    );

    // Nothing to take off: nothing is written.
    app.take_requests();
    delete(json!(["unknown"])).unwrap();
    assert_eq!(app.requests().len(), 1);
    assert!(matches!(delete(json!("b")), Err(Error::InvalidInput(_))));
}

#[test]
fn tags_of_somebody_who_is_gone_are_not_found() {
    let gone = json!({"people": [{"id": 9, "stage": "Trash"}]});
    let _app = FakeApp::new()
        .on(&format!("GET {API}/people"), Reply::json(200, gone))
        .start();
    let write = Write::of(json!({"tags": ["b"]}));
    assert!(matches!(
        FollowUpBoss::perform("people", "9", "tags/delete", write),
        Err(Error::NotFound(_))
    ));
}

#[test]
fn users_and_other_operations_are_unsupported() {
    assert!(matches!(
        create("users", json!({})),
        Err(Error::Unsupported(_))
    ));
    assert!(matches!(
        FollowUpBoss::perform("notes", "1", "tags/apply", Write::default()),
        Err(Error::Unsupported(_))
    ));
    assert!(matches!(
        FollowUpBoss::perform("people", "1", "merge", Write::default()),
        Err(Error::Unsupported(_))
    ));
}

#[test]
fn server_errors_of_an_update_are_worth_another_try() {
    let _app = FakeApp::new()
        .on(&format!("PUT {API}/notes/5"), Reply::json(503, "busy"))
        .start();
    assert_eq!(
        FollowUpBoss::update("notes", "5", Write::of(json!({"body": "x"}))),
        Err(Error::Upstream(Upstream {
            status: Some(503),
            retryable: true,
            maybe_applied: true,
            message: "busy".into()
        }))
    );
}
