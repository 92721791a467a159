//! Deals, and the pipelines they go through.

use serde_json::{Map, Value};

use super::{PLAIN, Pass, Resource, SHORT, Verbs};
use crate::mapping::{Members, id_of};
use crate::table::{Reads, Writes, field, read, write};

pub(super) static DEALS: Resource = Resource {
    entity: "deals",
    path: "deals",
    pass: Pass::Whole,
    shows: &[("includeDeleted", "1"), ("includeArchived", "1")],
    deleted: Some(("status", "Deleted")),
    custom: true,
    verbs: Verbs::ALL,
    fields: &[
        field("name", "name", Reads::Text, Writes::FixedText),
        field("description", "description", Reads::Text, Writes::Text),
        read("status", "status", Reads::Text),
        read("pipelineId", "pipelineId", Reads::Id),
        field("stageId", "stageId", Reads::Id, Writes::RequiredId),
        read("enteredStageAt", "enteredStageAt", Reads::Moment),
        read("peopleIds", "people", Reads::Ids),
        write("peopleIds", "peopleIds", Writes::Ids),
        read("userIds", "users", Reads::Ids),
        write("userIds", "userIds", Writes::Ids),
        field("price", "price", Reads::Number, Writes::Number),
        field(
            "commissionValue",
            "commissionValue",
            Reads::Number,
            Writes::Number,
        ),
        field(
            "agentCommission",
            "agentCommission",
            Reads::Number,
            Writes::Number,
        ),
        field(
            "teamCommission",
            "teamCommission",
            Reads::Number,
            Writes::Number,
        ),
        field("orderWeight", "orderWeight", Reads::Number, Writes::Number),
        field(
            "projectedCloseDate",
            "projectedCloseDate",
            Reads::Moment,
            Writes::Day,
        ),
        field(
            "earnestMoneyDueDate",
            "earnestMoneyDueDate",
            Reads::Moment,
            Writes::Day,
        ),
        field(
            "mutualAcceptanceDate",
            "mutualAcceptanceDate",
            Reads::Moment,
            Writes::Day,
        ),
        field(
            "dueDiligenceDate",
            "dueDiligenceDate",
            Reads::Moment,
            Writes::Day,
        ),
        field(
            "finalWalkThroughDate",
            "finalWalkThroughDate",
            Reads::Moment,
            Writes::Day,
        ),
        field(
            "possessionDate",
            "possessionDate",
            Reads::Moment,
            Writes::Day,
        ),
        read("created", "createdAt", Reads::Moment),
    ],
    ..PLAIN
};

pub(super) static PIPELINES: Resource = Resource {
    entity: "pipelines",
    path: "pipelines",
    verbs: Verbs::ALL,
    fields: &[
        field("name", "name", Reads::Text, Writes::FixedText),
        field("description", "description", Reads::Text, Writes::Text),
        field("orderWeight", "orderWeight", Reads::Number, Writes::Number),
        field(
            "stages",
            "stages",
            Reads::By(stages),
            Writes::PipelineStages,
        ),
    ],
    ..SHORT
};

fn stages(pipeline: &Members<'_>) -> Option<Value> {
    const MEMBERS: [&str; 5] = ["name", "description", "orderWeight", "color", "closedStage"];
    let stages = pipeline.value("stages")?;
    let shown = stages.as_array()?.iter().map(|stage| {
        let mut shown = Map::new();
        shown.extend(
            stage
                .get("id")
                .and_then(id_of)
                .map(|id| ("id".to_owned(), id)),
        );
        for name in MEMBERS {
            let value = stage.get(name).filter(|value| !value.is_null());
            shown.extend(value.map(|value| (name.to_owned(), value.clone())));
        }
        Value::Object(shown)
    });
    Some(shown.collect())
}
