//! Writing what is more than a person, a note or a task.

use follow_up_boss::FollowUpBoss;
use rollout_connector::testing::{FakeApp, Reply, Running};
use rollout_connector::{Entities, Error, Write, Written};
use serde_json::{Value, json};

use crate::API;

fn create(entity: &str, body: Value) -> Result<Written, Error> {
    FollowUpBoss::create(entity, Write::of(body))
}

fn update(entity: &str, body: Value) -> Result<Written, Error> {
    FollowUpBoss::update(entity, "1", Write::of(body))
}

/// The app answers every write of this resource with this.
fn writing(path: &str, reply: Reply) -> Running {
    FakeApp::new()
        .on(&format!("POST {API}/{path}"), reply)
        .on(
            &format!("PUT {API}/{path}/1"),
            Reply::json(200, r#"{"id": 1}"#),
        )
        .start()
}

fn pointers(answer: Result<Written, Error>) -> Vec<String> {
    match answer {
        Err(Error::InvalidInput(issues)) => issues.into_iter().map(|one| one.pointer).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_call_is_logged() {
    let reply = Reply::json(
        201,
        json!({"id": 5, "personId": 7, "isIncoming": true, "phone": "555"}),
    );
    let app = writing("calls", reply);
    let body = json!({"personId": "7", "phone": "555", "isIncoming": true, "duration": 65, "outcome": null});
    let Written::Item(item) = create("calls", body).unwrap() else {
        panic!("no item");
    };
    assert_eq!(
        app.requests()[0].json_body(),
        json!({"personId": 7, "phone": "555", "isIncoming": true, "duration": 65, "outcome": null})
    );
    assert_eq!(
        item.document(),
        json!({"personId": "7", "phone": "555", "isIncoming": true})
    );
    update("calls", json!({"note": null, "userId": "2"})).unwrap();
    assert_eq!(
        app.requests()[1].json_body(),
        json!({"note": "", "userId": 2})
    );
}

#[test]
fn an_event_is_accepted_whether_the_app_names_a_person_or_nothing() {
    let event = json!({
        "personId": "7", "type": "Property Inquiry", "source": "Site", "system": "Mine", "message": "Hi",
        "occurredAt": "2024-03-01T12:00:00+02:00",
    });
    for reply in [
        Reply::json(200, json!({"id": 7, "name": "John"})),
        Reply::json(201, json!({"id": 8, "name": "New"})),
        Reply::empty(204),
    ] {
        let app = writing("events", reply);
        assert_eq!(create("events", event.clone()), Ok(Written::Accepted));
        assert_eq!(
            app.requests()[0].json_body(),
            json!({
                "person": {"id": 7}, "type": "Property Inquiry", "source": "Site", "system": "Mine", "message": "Hi",
                "occurredAt": "2024-03-01T10:00:00Z",
            })
        );
    }
}

#[test]
fn what_is_wrong_with_an_event_points_at_the_callers_fields() {
    for (status, said, pointer) in [
        (404, "Person not found.", "/personId"),
        (400, "Missing required field 'person'", "/personId"),
        (400, "Invalid value for field 'person.id'.", "/personId"),
        (400, "Invalid value for field 'type'.", "/type"),
        (
            400,
            "Invalid fields in the request body: pageReferrer.",
            "/pageReferrer",
        ),
    ] {
        let _app = writing("events", Reply::json(status, json!({"errorMessage": said})));
        let answer = create("events", json!({"personId": "7", "type": "x"}));
        assert_eq!(pointers(answer), [pointer], "{said}");
    }
}

#[test]
fn an_appointment_invites_its_person_and_user() {
    let app = writing("appointments", Reply::json(201, json!({"id": 3})));
    let body = json!({
        "personId": "7", "userId": "2", "appointmentTypeId": "4", "appointmentOutcomeId": null, "title": "Showing",
        "location": "Here", "isAllDay": true, "startsAt": "2024-04-01", "endsAt": "2024-04-01T18:00:00-07:00",
    });
    create("appointments", body).unwrap();
    assert_eq!(
        app.requests()[0].json_body(),
        json!({
            "invitees": [{"personId": 7}, {"userId": 2}], "typeId": 4, "outcomeId": null, "title": "Showing",
            "location": "Here", "allDay": true, "start": "2024-04-01T00:00:00Z", "end": "2024-04-02T01:00:00Z",
        })
    );
    let said = |said: &str| Reply::json(400, json!({"errorMessage": said}));
    for (said, pointer) in [
        (said("Missing required field 'start'"), "/startsAt"),
        (
            said("Invalid value for field 'typeId'."),
            "/appointmentTypeId",
        ),
        (said("Invalid value for field 'invitees'."), "/personId"),
        (
            Reply::json(404, r#"{"errorMessage": "Person not found."}"#),
            "/personId",
        ),
    ] {
        let _app = writing("appointments", said);
        let answer = create("appointments", json!({"title": "x", "personId": "7"}));
        assert_eq!(pointers(answer), [pointer]);
    }
    assert_eq!(
        pointers(create(
            "appointments",
            json!({"startsAt": "soon", "personId": "x"})
        )),
        ["/personId", "/startsAt"]
    );
}

#[test]
fn changing_the_person_of_an_appointment_keeps_the_others_invited() {
    let present = json!([
        {"userId": 2, "personId": null, "relationshipId": null, "name": "Ana", "email": "ana@x.example", "picture": {}},
        {"userId": null, "personId": 7, "name": "John", "email": "john@x.example"},
        {"userId": null, "personId": 8, "name": "Eve"},
        {"email": "x@x.example"},
    ]);
    let ana = json!({"userId": 2, "name": "Ana", "email": "ana@x.example"});
    let john = json!({"personId": 7, "name": "John", "email": "john@x.example"});
    let eve = json!({"personId": 8, "name": "Eve"});
    let stranger = json!({"email": "x@x.example"});
    for (change, invitees) in [
        (
            json!({"personId": "9"}),
            json!([ana, {"personId": 9}, eve, stranger]),
        ),
        (json!({"personId": null}), json!([ana, eve, stranger])),
        (json!({"personId": "7"}), json!([ana, john, eve, stranger])),
        (
            json!({"userId": "3", "personId": "9"}),
            json!([{"userId": 3}, {"personId": 9}, eve, stranger]),
        ),
    ] {
        let record = json!({"id": 1, "invitees": present});
        let app = FakeApp::new()
            .on(
                &format!("GET {API}/appointments/1"),
                Reply::json(200, record),
            )
            .on(
                &format!("PUT {API}/appointments/1"),
                Reply::json(200, r#"{"id": 1}"#),
            )
            .start();
        update("appointments", change.clone()).unwrap();
        assert_eq!(
            app.requests()[1].json_body(),
            json!({"invitees": invitees}),
            "{change}"
        );
    }
    // Without a change of those invited nothing is read first.
    let app = writing("appointments", Reply::empty(500));
    update("appointments", json!({"title": "Other"})).unwrap();
    assert_eq!(app.requests().len(), 1);
    drop(app);
    let _app = FakeApp::new()
        .on(&format!("GET {API}/appointments/1"), Reply::json(404, "{}"))
        .start();
    let gone = update("appointments", json!({"personId": "9"}));
    assert!(matches!(gone, Err(Error::NotFound(_))));
}

#[test]
fn a_deal_names_people_and_users_by_id_and_has_custom_fields() {
    let deal = json!({"id": 3, "name": "High Oak", "stageId": 11, "people": [{"id": 7}], "users": [], "customLostDate": null});
    let app = writing("deals", Reply::json(201, deal));
    let body = json!({
        "name": "High Oak", "stageId": "11", "peopleIds": ["7", "8"], "userIds": null, "price": 449000,
        "projectedCloseDate": "2024-05-01T23:30:00Z", "possessionDate": null, "customTitleCompany": "Acme",
    });
    let Written::Item(item) = create("deals", body).unwrap() else {
        panic!("no item");
    };
    assert_eq!(
        app.requests()[0].json_body(),
        json!({
            "name": "High Oak", "stageId": 11, "peopleIds": [7, 8], "userIds": [], "price": 449000,
            "projectedCloseDate": "2024-05-01", "possessionDate": null, "customTitleCompany": "Acme",
        })
    );
    assert_eq!(
        item.document(),
        json!({
            "name": "High Oak", "stageId": "11", "peopleIds": ["7"], "userIds": [], "customLostDate": null,
            "customTitleCompany": "Acme",
        })
    );
    for (status, said, pointer) in [
        (400, "Invalid value for field 'stageId'.", "/stageId"),
        (
            400,
            "Invalid fields in the request body: customFoo.",
            "/customFoo",
        ),
        (404, "Person not found.", "/peopleIds"),
    ] {
        let _app = writing("deals", Reply::json(status, json!({"errorMessage": said})));
        let body = json!({"name": "x", "stageId": "1", "peopleIds": ["7"], "customFoo": 1});
        assert_eq!(pointers(create("deals", body)), [pointer], "{said}");
    }
    assert_eq!(
        pointers(update(
            "deals",
            json!({"stageId": null, "peopleIds": ["x"], "name": null})
        )),
        ["/name", "/stageId", "/peopleIds"]
    );
}

#[test]
fn stages_of_a_pipeline_are_known_by_their_number() {
    let app = writing("pipelines", Reply::json(201, json!({"id": 3})));
    let stages = json!([{"id": "11", "name": "Showing", "closedStage": false, "extra": 1}, {"id": null, "name": "New"}]);
    update("pipelines", json!({"stages": stages})).unwrap();
    assert_eq!(
        app.requests()[0].json_body(),
        json!({"stages": [{"name": "Showing", "closedStage": false, "id": 11}, {"name": "New"}]})
    );
    for wrong in [
        json!([{"id": "11"}]),
        json!([{"id": "x", "name": "a"}]),
        json!("a"),
    ] {
        assert_eq!(
            pointers(update("pipelines", json!({"stages": wrong}))),
            ["/stages"]
        );
    }
}

#[test]
fn what_only_owners_or_systems_may_do_is_forbidden() {
    for (entity, path) in [
        ("customFields", "customFields"),
        ("textMessages", "textMessages"),
        ("relationships", "peopleRelationships"),
    ] {
        let refusal = Reply::json(
            403,
            r#"{"errorMessage": "Only the account owner can do this."}"#,
        );
        let app = writing(path, refusal);
        let answer = create(entity, json!({}));
        assert!(matches!(answer, Err(Error::Forbidden(_))), "{entity}");
        assert_eq!(app.requests()[0].url, format!("{API}/{path}"));
    }
}

#[test]
fn deals_and_appointments_and_relationships_are_deleted() {
    let app = FakeApp::new().answer(|_| Some(Reply::empty(204))).start();
    for (entity, path) in [
        ("deals", "deals"),
        ("appointments", "appointments"),
        ("pipelines", "pipelines"),
        ("relationships", "peopleRelationships"),
    ] {
        assert_eq!(FollowUpBoss::delete(entity, "4", "key"), Ok(()));
        let sent = app.take_requests();
        assert_eq!(
            (sent[0].method.as_str(), sent[0].url.as_str()),
            ("DELETE", &*format!("{API}/{path}/4"))
        );
    }
}
