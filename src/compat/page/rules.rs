//! Reads an OpenAPI document for the page: follows references, and puts the rules of a schema into
//! words.
//!
//! What is not there reads as empty; nothing here fails.

use super::super::json::Json;

/// Most references that follow one another.
const REFERENCES_MAX: usize = 8;

const NOTHING: &Json<'static> = &Json::Null;

/// A document, and how to look things up in it.
#[derive(Clone, Copy)]
pub(super) struct Document<'a>(pub(super) &'a Json<'a>);

/// A line of a table of fields.
pub(super) struct Row<'a> {
    /// The name, with those of the fields around it: `data.status_counts`.
    pub(super) name: String,
    /// Its type and rules.
    pub(super) kind: String,
    /// What it is.
    pub(super) meaning: &'a str,
    /// Whether it must be there.
    pub(super) is_required: bool,
}

impl<'a> Document<'a> {
    /// A member of an object, references followed; `null` if there is none.
    pub(super) fn at(self, value: &'a Json<'a>, key: &str) -> &'a Json<'a> {
        self.resolve(self.own(value, key))
    }

    /// A member as it is written.
    fn own(self, value: &'a Json<'a>, key: &str) -> &'a Json<'a> {
        let mut members = self.members(value).iter();
        members
            .find(|(own, _)| own == key)
            .map_or(NOTHING, |(_, value)| value)
    }

    /// A member that is a string; empty if there is none.
    pub(super) fn text(self, value: &'a Json<'a>, key: &str) -> &'a str {
        match self.own(value, key) {
            Json::Text(text) => text,
            _ => "",
        }
    }

    /// A member that is a list; empty if there is none.
    pub(super) fn list(self, value: &'a Json<'a>, key: &str) -> &'a [Json<'a>] {
        match self.own(value, key) {
            Json::List(values) => values,
            _ => &[],
        }
    }

    /// The members of an object; none of anything else.
    pub(super) fn members(
        self,
        value: &'a Json<'a>,
    ) -> &'a [(std::borrow::Cow<'a, str>, Json<'a>)] {
        match value {
            Json::Object(members) => members,
            _ => &[],
        }
    }

    /// What a reference leads to; anything else is itself.
    pub(super) fn resolve(self, value: &'a Json<'a>) -> &'a Json<'a> {
        let mut found = value;
        for _ in 0..REFERENCES_MAX {
            let Some(path) = self.text(found, "$ref").strip_prefix("#/") else {
                break;
            };
            found = path
                .split('/')
                .fold(self.0, |value, key| self.own(value, key));
        }
        found
    }

    /// The media type of a body, and what is said about it.
    pub(super) fn content(self, body: &'a Json<'a>) -> (&'a str, &'a Json<'a>) {
        let content = self.members(self.at(body, "content"));
        content
            .first()
            .map_or(("no body", NOTHING), |(media, content)| (media, content))
    }

    /// All examples of a body.
    pub(super) fn examples(self, content: &'a Json<'a>) -> Vec<&'a Json<'a>> {
        let several = self.members(self.at(content, "examples"));
        let several = several.iter().map(|(_, example)| self.at(example, "value"));
        let one = Some(self.at(content, "example")).filter(|example| **example != Json::Null);
        one.into_iter().chain(several).collect()
    }

    pub(super) fn parameter(self, parameter: &'a Json<'a>) -> Row<'a> {
        let parameter = self.resolve(parameter);
        let place = self.text(parameter, "in");
        Row {
            name: self.text(parameter, "name").to_owned(),
            kind: format!(
                "{}, in the {place}",
                self.kind(self.at(parameter, "schema"))
            ),
            meaning: self.text(parameter, "description"),
            is_required: *self.at(parameter, "required") == Json::Bool(true),
        }
    }

    pub(super) fn header(self, name: &str, header: &'a Json<'a>) -> Row<'a> {
        let header = self.resolve(header);
        Row {
            name: name.to_owned(),
            kind: self.kind(self.at(header, "schema")),
            meaning: self.text(header, "description"),
            is_required: false,
        }
    }

    /// The fields of an object and of the objects in it.
    pub(super) fn rows(self, schema: &'a Json<'a>) -> Vec<Row<'a>> {
        let mut rows = Vec::new();
        self.add_rows("", schema, &mut rows);
        rows
    }

    fn add_rows(self, around: &str, schema: &'a Json<'a>, rows: &mut Vec<Row<'a>>) {
        let required = self.list(schema, "required");
        for (name, own) in self.members(self.at(schema, "properties")) {
            let field = self.resolve(own);
            let told = [
                self.text(own, "description"),
                self.text(field, "description"),
            ];
            let full_name = format!("{around}{name}");
            rows.push(Row {
                kind: self.kind(field),
                meaning: told
                    .into_iter()
                    .find(|told| !told.is_empty())
                    .unwrap_or_default(),
                is_required: required
                    .iter()
                    .any(|own| matches!(own, Json::Text(t) if t == name)),
                name: full_name.clone(),
            });
            self.add_rows(&format!("{full_name}."), field, rows);
            self.add_rows(&format!("{full_name}[]."), self.at(field, "items"), rows);
        }
    }

    /// A type with its rules, such as `text, 1 to 36 characters`.
    fn kind(self, schema: &'a Json<'a>) -> String {
        let choices = self.list(schema, "anyOf");
        if !choices.is_empty() {
            let choices = choices.iter().map(|choice| self.kind(self.resolve(choice)));
            return choices.collect::<Vec<_>>().join("; or ");
        }
        let words = self.list(schema, "enum");
        if !words.is_empty() {
            let words = words.iter().filter_map(|word| match word {
                Json::Text(word) => Some(&**word),
                _ => None,
            });
            return words.collect::<Vec<_>>().join(" | ");
        }
        let mut kind = match self.own(schema, "type") {
            Json::Text(name) => plain(name).to_owned(),
            Json::List(names) => {
                let names = names.iter().filter_map(|name| match name {
                    Json::Text(name) => Some(plain(name)),
                    _ => None,
                });
                names.collect::<Vec<_>>().join(" or ")
            }
            _ => "anything".to_owned(),
        };
        kind.push_str(&self.bounds(schema, "minLength", "maxLength", " long"));
        kind.push_str(&self.bounds(schema, "minItems", "maxItems", " of them"));
        kind.push_str(&self.bounds(schema, "minimum", "maximum", ""));
        if let Json::Number(step) = self.own(schema, "multipleOf") {
            kind.push_str(&format!(", in steps of {step}"));
        }
        if *self.own(schema, "uniqueItems") == Json::Bool(true) {
            kind.push_str(", none twice");
        }
        match self.at(schema, "items") {
            Json::Null => kind,
            items => format!("{kind}; each: {}", self.kind(items)),
        }
    }

    fn bounds(self, schema: &'a Json<'a>, least: &str, most: &str, unit: &str) -> String {
        match (self.own(schema, least), self.own(schema, most)) {
            (Json::Number(least), Json::Number(most)) => format!(", {least} to {most}{unit}"),
            (Json::Number(least), _) => format!(", at least {least}{unit}"),
            (_, Json::Number(most)) => format!(", at most {most}{unit}"),
            _ => String::new(),
        }
    }
}

/// A type of JSON in words.
fn plain(name: &str) -> &str {
    match name {
        "string" => "text",
        "array" => "list",
        "integer" => "whole number",
        "boolean" => "true or false",
        other => other,
    }
}
