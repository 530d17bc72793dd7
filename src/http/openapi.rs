//! The OpenAPI document, made from the routes and the table of codes, and the pages about the
//! codes.

mod answers;

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::{
    ContentBuilder, HeaderBuilder, InfoBuilder, Object, ObjectBuilder, OpenApi, OpenApiBuilder,
    Ref, RefOr, ResponseBuilder, Type,
};
use utoipa::openapi::{response::Responses, tag::TagBuilder};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::answers::{EVERY_PATH, EVERYWHERE, KEYED, OPERATIONS};
use super::code::{CODES, Code, Entry, FIELD_CODES};
use super::error::{ApiError, NOSNIFF};
use super::{App, schema};

pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(document))
        .routes(routes!(about_code))
}

/// The document of all routes.
pub(super) fn of(routes: OpenApi) -> OpenApi {
    let mut document = routes;
    document.info = InfoBuilder::new()
        .title("orderd")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(description()))
        .license(Some(utoipa::openapi::License::new("MIT OR Apache-2.0")))
        .build();
    for item in document.paths.paths.values_mut() {
        for operation in operations(item) {
            describe_errors(operation);
            describe_replay(operation);
            describe_headers(operation);
            describe_request_id(&mut operation.responses);
        }
    }
    document
}

/// The empty document that routes are added to.
pub(super) fn empty() -> OpenApi {
    #[derive(utoipa::OpenApi)]
    #[openapi(components(schemas(schema::Problem, schema::FieldFault)))]
    struct Schemas;
    let tag = |name: &str, description: &str| {
        TagBuilder::new()
            .name(name)
            .description(Some(description))
            .build()
    };
    let tags = [
        tag("orders", "Take in orders and read them."),
        tag(
            "dead letters",
            "Orders that used up their attempts and wait for a person.",
        ),
        tag("events", "Follow what happens to orders."),
        tag("webhooks", "Have it sent to an address, signed."),
        tag("operations", "For whoever runs the server."),
    ];
    OpenApiBuilder::new()
        .components(<Schemas as utoipa::OpenApi>::openapi().components)
        .tags(Some(tags))
        .build()
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let own = [&mut item.get, &mut item.post, &mut item.delete];
    own.into_iter().flatten()
}

fn description() -> String {
    let mut text = String::from(
        "Takes orders, keeps them safe, and works them off in priority order.\n\n\
         An order that was answered with 201 is on disk. Money is whole minor units. Times are \
         RFC 3339 in UTC. Every answer has an `X-Request-Id`; a request may bring its own. `HEAD` \
         works wherever `GET` does.\n\n## Problems\n\nA refusal is `application/problem+json` with \
         a stable `code`:\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for entry in CODES {
        let row = format!(
            "| `{}` | {} | {} |\n",
            entry.name, entry.status, entry.title
        );
        text.push_str(&row);
    }
    text.push_str(
        "\nand `errors` names fields, each with one of:\n\n| code | meaning |\n|---|---|\n",
    );
    for (name, help) in FIELD_CODES {
        text.push_str(&format!("| `{name}` | {help} |\n"));
    }
    text
}

/// Says which form the headers of a request have: `null` is not one of them.
fn describe_headers(operation: &mut Operation) {
    const TAGS: &str = r#"^(\*|(W/)?"[^"]*"( *, *(W/)?"[^"]*")*)$"#;
    let forms = [
        ("Prefer", None),
        ("Idempotency-Key", Some("^[!-~]{1,255}$")),
        ("If-Match", Some(TAGS)),
        ("If-None-Match", None),
    ];
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else {
            continue;
        };
        if let Some((_, pattern)) = forms.iter().find(|(name, _)| *name == parameter.name) {
            let text = ObjectBuilder::new().schema_type(Type::String);
            parameter.schema = Some(text.pattern(*pattern).into());
        }
    }
}

/// Whether requests to an operation may have an idempotency key.
fn is_keyed(operation: &Operation) -> bool {
    let mut parameters = operation.parameters.iter().flatten();
    parameters.any(|parameter| match parameter {
        RefOr::T(parameter) => parameter.name == "Idempotency-Key",
        RefOr::Ref(_) => false,
    })
}

/// Says how the first answer under a key looks when it is given again.
fn describe_replay(operation: &mut Operation) {
    if !is_keyed(operation) {
        return;
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response
            && status.starts_with('2')
        {
            let replayed = HeaderBuilder::new()
                .schema(Some(Object::with_type(Type::String)))
                .description(Some("`true`: the first answer again."))
                .build();
            let name = "Idempotency-Replayed".to_owned();
            response.headers.insert(name, replayed.into());
        }
    }
}

/// Adds an answer for each status that the operation's codes have.
fn describe_errors(operation: &mut Operation) {
    let id = operation.operation_id.as_deref().unwrap_or_default();
    let own = OPERATIONS.iter().find(|(name, _)| *name == id);
    let own = own.map_or(&[][..], |(_, codes)| codes);
    let keyed = if is_keyed(operation) { KEYED } else { &[] };
    let groups = own.iter().chain([&keyed, &EVERYWHERE, &EVERY_PATH]);
    let codes: Vec<Code> = groups.flat_map(|group| group.iter().copied()).collect();
    let mut entries: Vec<&Entry> = codes.into_iter().map(Code::entry).collect();
    entries.sort_by_key(|entry| entry.code as usize);
    for entry in entries {
        let status = entry.status.to_string();
        let line = format!("`{}`: {}. {}", entry.name, entry.title, entry.help);
        match operation.responses.responses.get_mut(&status) {
            Some(RefOr::T(known)) => {
                known.description.push_str("\n\n");
                known.description.push_str(&line);
            }
            _ => {
                let response = problem(entry, line);
                operation
                    .responses
                    .responses
                    .insert(status, response.into());
            }
        }
    }
}

fn problem(entry: &Entry, description: String) -> utoipa::openapi::Response {
    let content = ContentBuilder::new()
        .schema(Some(Ref::from_schema_name("Problem")))
        .build();
    let mut response = ResponseBuilder::new()
        .description(description)
        .content("application/problem+json", content);
    if entry.status == 503 {
        let seconds = HeaderBuilder::new()
            .schema(Some(Object::with_type(Type::Integer)))
            .description(Some("Seconds after which to try again."))
            .build();
        response = response.header("Retry-After", seconds);
    }
    response.build()
}

fn describe_request_id(responses: &mut Responses) {
    for response in responses.responses.values_mut() {
        if let RefOr::T(response) = response {
            let id = HeaderBuilder::new()
                .schema(Some(Object::with_type(Type::String)))
                .description(Some("The request's id, also in the server's log."))
                .build();
            response
                .headers
                .insert("X-Request-Id".to_owned(), id.into());
        }
    }
}

/// Read this document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "operations",
    operation_id = "readOpenApi",
    responses((
        status = 200,
        description = "The OpenAPI 3.1 document.",
        content_type = "application/json"
    ))
)]
async fn document(State(app): State<Arc<App>>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], app.document()).into_response()
}

/// The document as text, for whoever serves it.
pub(super) fn text(document: &OpenApi) -> Bytes {
    // Built from our own tables and types: it always has a JSON form.
    Bytes::from(document.to_pretty_json().unwrap_or_default())
}

/// Read about an error code
#[utoipa::path(
    get,
    path = "/errors/{code}",
    tag = "operations",
    operation_id = "readErrorCode",
    params(("code" = String, Path, description = "A code, such as `invalid-order`.")),
    responses((
        status = 200,
        description = "What the code means.",
        body = String,
        content_type = "text/plain"
    ))
)]
async fn about_code(code: Result<Path<String>, PathRejection>) -> Result<Response, ApiError> {
    let wanted = code.map(|Path(code)| code).unwrap_or_default();
    let entry = CODES.iter().find(|entry| entry.name == wanted);
    let field = FIELD_CODES.iter().find(|(name, _)| *name == wanted);
    let page = match (entry, field) {
        (Some(entry), _) => format!(
            "# {}\n\nStatus {}: {}.\n\n{}\n",
            entry.name, entry.status, entry.title, entry.help
        ),
        (None, Some((name, help))) => {
            format!("# {name}\n\nA fault of one field, inside `errors`.\n\n{help}\n")
        }
        (None, None) => {
            let detail = "there is no such error code; all are in /openapi.json";
            return Err(ApiError::new(Code::RouteNotFound, detail));
        }
    };
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, text), NOSNIFF], page).into_response())
}
