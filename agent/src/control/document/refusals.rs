//! The refusals of each call, as the document describes them.

use std::collections::BTreeMap;

use egress_core::api::Code;
use utoipa::openapi::schema::{AllOfBuilder, ObjectBuilder, Type};
use utoipa::openapi::{Content, Ref, Response, ResponseBuilder, ResponsesBuilder, Schema};

use super::super::calls::Call;

/// A response for each status that a refusal of the call may have.
pub fn responses(call: Call) -> ResponsesBuilder {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in call.refusals() {
        by_status.entry(code.status()).or_default().push(code);
    }
    by_status.into_iter().fold(ResponsesBuilder::new(), |responses, (status, codes)| {
        responses.response(status.to_string(), refused(status, &codes))
    })
}

fn refused(status: u16, codes: &[Code]) -> Response {
    let words: Vec<_> = codes.iter().map(|code| code.as_str()).collect();
    let description = format!("Refused: `{}`.", words.join("`, `"));
    let content = Content::new(Some(problem(status, words)));
    ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content)
        .build()
}

/// A problem document of this status, with one of these words as its code.
fn problem(status: u16, codes: Vec<&'static str>) -> Schema {
    let code = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(codes));
    let status = ObjectBuilder::new().schema_type(Type::Integer).enum_values(Some([status]));
    let narrowed = ObjectBuilder::new()
        .schema_type(Type::Object)
        .property("code", code)
        .property("status", status);
    let problem = Ref::from_schema_name("Problem");
    Schema::AllOf(AllOfBuilder::new().item(problem).item(narrowed).build())
}
