//! The page for people, made from an OpenAPI document on the server: no script, nothing from
//! elsewhere, light or dark as the reader's system is.
//!
//! It shows what the document says and nothing else; only the address in the examples is that of
//! the reader's request.

mod rules;
mod text;

use self::rules::Document;
use self::text::{escape, inline, pretty};
use super::json::Json;

const STYLE: &str = include_str!("page/style.css");
/// Methods that the document may use, in the order they are shown.
const METHODS: [&str; 2] = ["post", "get"];

/// The page of a document. `host` is the reader's `Host` header, for the examples; `document_path`
/// is where programs get the document.
pub fn page(document: &Json<'_>, host: &str, document_path: &str) -> String {
    let document = Document(document);
    let mut page = Page {
        document,
        host,
        html: String::with_capacity(1 << 16),
    };
    page.head(document_path);
    page.contents();
    page.html.push_str("<main>\n");
    for tag in document.list(document.0, "tags") {
        page.tag(tag);
    }
    page.html.push_str("</main>\n</body>\n</html>\n");
    page.html
}

/// A page in the making.
struct Page<'a> {
    document: Document<'a>,
    host: &'a str,
    html: String,
}

impl<'a> Page<'a> {
    fn head(&mut self, document_path: &str) {
        let info = self.document.at(self.document.0, "info");
        let title = escape(self.document.text(info, "title"));
        let version = escape(self.document.text(info, "version"));
        self.html.push_str(&format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n\
             <title>{title} API</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <header>\n<h1>{title} <small>{version}</small></h1>\n"
        ));
        self.prose(self.document.text(info, "description"));
        let path = escape(document_path);
        let link = format!(
            "<p><a href=\"{path}\">The same for programs: OpenAPI 3.1</a></p>\n</header>\n"
        );
        self.html.push_str(&link);
    }

    /// The list of all operations.
    fn contents(&mut self) {
        self.html
            .push_str("<nav aria-label=\"Operations\">\n<ul>\n");
        for operation in self.operations() {
            let line = format!(
                "<li><a href=\"#{}\">{} <code>{}</code> <span>{}</span></a></li>\n",
                escape(self.document.text(operation.value, "operationId")),
                badge(operation.method),
                escape(operation.path),
                escape(self.document.text(operation.value, "summary")),
            );
            self.html.push_str(&line);
        }
        self.html.push_str("</ul>\n</nav>\n");
    }

    fn tag(&mut self, tag: &'a Json<'a>) {
        let name = self.document.text(tag, "name");
        self.html
            .push_str(&format!("<section>\n<h2>{}</h2>\n", escape(name)));
        self.prose(self.document.text(tag, "description"));
        for operation in self.operations() {
            let is_its_own = |own: &Json<'_>| matches!(own, Json::Text(own) if own == name);
            if self
                .document
                .list(operation.value, "tags")
                .iter()
                .any(is_its_own)
            {
                self.operation(&operation);
            }
        }
        self.html.push_str("</section>\n");
    }

    fn operations(&self) -> Vec<Operation<'a>> {
        let paths = self.document.at(self.document.0, "paths");
        let mut all = Vec::new();
        for (path, item) in self.document.members(paths) {
            for method in METHODS {
                let value = self.document.at(item, method);
                if *value != Json::Null {
                    all.push(Operation {
                        path,
                        method,
                        value,
                    });
                }
            }
        }
        all
    }

    fn operation(&mut self, operation: &Operation<'a>) {
        let Operation {
            path,
            method,
            value,
        } = *operation;
        let document = self.document;
        self.html.push_str(&format!(
            "<article id=\"{}\">\n<h3>{} <code>{}</code></h3>\n<p class=\"summary\">{}</p>\n",
            escape(document.text(value, "operationId")),
            badge(method),
            escape(path),
            escape(document.text(value, "summary")),
        ));
        self.prose(document.text(value, "description"));
        let parameters = document.list(value, "parameters");
        if !parameters.is_empty() {
            let rows = parameters
                .iter()
                .map(|parameter| document.parameter(parameter));
            self.fields("Parameters", rows.collect());
        }
        let body = document.at(value, "requestBody");
        if *body != Json::Null {
            let (_, content) = document.content(body);
            let schema = document.at(content, "schema");
            self.fields("Body", document.rows(schema));
        }
        self.example_request(operation);
        self.html.push_str("<h4>Answers</h4>\n");
        for (status, response) in document.members(document.at(value, "responses")) {
            self.response(status, document.resolve(response));
        }
        self.html.push_str("</article>\n");
    }

    /// The request with the values of the examples, as one would type it.
    fn example_request(&mut self, operation: &Operation<'a>) {
        let document = self.document;
        let mut path = operation.path.to_owned();
        for parameter in document.list(operation.value, "parameters") {
            let parameter = document.resolve(parameter);
            let name = document.text(parameter, "name");
            let example = document.text(parameter, "example");
            match document.text(parameter, "in") {
                "path" => path = path.replace(&format!("{{{name}}}"), example),
                "query" => path.push_str(&format!("?{name}={example}")),
                // A header is never needed.
                _ => {}
            }
        }
        let url = format!("http://{}{path}", self.host);
        let (media, content) = document.content(document.at(operation.value, "requestBody"));
        let command = match document.at(content, "example") {
            Json::Null => format!("curl '{url}'"),
            example => format!(
                "curl -X {} '{url}' \\\n  -H 'Content-Type: {media}' \\\n  -d '{}'",
                operation.method.to_ascii_uppercase(),
                pretty(example, 2),
            ),
        };
        self.html.push_str("<h4>Example</h4>\n");
        self.code(&command);
    }

    fn response(&mut self, status: &str, response: &'a Json<'a>) {
        let document = self.document;
        let is_good = status.starts_with('2');
        self.html.push_str(&format!(
            "<details{}><summary><b class=\"status {}\">{}</b> {}</summary>\n",
            if is_good { " open" } else { "" },
            if is_good { "good" } else { "bad" },
            escape(status),
            inline(document.text(response, "description")),
        ));
        let headers = document.members(document.at(response, "headers"));
        if !headers.is_empty() {
            let rows = headers
                .iter()
                .map(|(name, header)| document.header(name, header));
            self.fields("Headers", rows.collect());
        }
        let (media, content) = document.content(response);
        self.html
            .push_str(&format!("<p class=\"media\">{}</p>\n", escape(media)));
        for example in document.examples(content) {
            self.code(&pretty(example, 0));
        }
        if is_good {
            let mut rows = document.rows(document.at(content, "schema"));
            rows.iter_mut().for_each(|row| row.is_required = false);
            self.fields("Fields", rows);
        }
        self.html.push_str("</details>\n");
    }

    /// A table of fields.
    fn fields(&mut self, title: &str, rows: Vec<rules::Row<'a>>) {
        self.html.push_str(&format!(
            "<table>\n<caption>{title}</caption>\n<thead><tr><th scope=\"col\">name</th>\
             <th scope=\"col\">type</th><th scope=\"col\">meaning</th></tr></thead>\n<tbody>\n"
        ));
        for row in rows {
            let needed = if row.is_required {
                " <em>required</em>"
            } else {
                ""
            };
            let line = format!(
                "<tr><th scope=\"row\"><code>{}</code>{needed}</th><td>{}</td><td>{}</td></tr>\n",
                escape(&row.name),
                escape(&row.kind),
                inline(row.meaning),
            );
            self.html.push_str(&line);
        }
        self.html.push_str("</tbody>\n</table>\n");
    }

    fn code(&mut self, text: &str) {
        let code = format!("<pre tabindex=\"0\"><code>{}</code></pre>\n", escape(text));
        self.html.push_str(&code);
    }

    /// Paragraphs, which an empty line separates.
    fn prose(&mut self, text: &str) {
        for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
            self.html
                .push_str(&format!("<p>{}</p>\n", inline(paragraph)));
        }
    }
}

/// One method of one path.
struct Operation<'a> {
    path: &'a str,
    method: &'static str,
    value: &'a Json<'a>,
}

fn badge(method: &str) -> String {
    let name = method.to_ascii_uppercase();
    format!("<b class=\"method {method}\">{name}</b>")
}

#[cfg(test)]
mod tests {
    use super::super::{json, openapi};
    use super::*;
    use crate::order::Dialect;

    fn both() -> String {
        let document = openapi::document(&[Dialect::OrderService, Dialect::ApiV1]).unwrap();
        page(&document, "shop.test:8000", "/api/v1/openapi.json")
    }

    /// Names of the elements in a page, `/` before those that end one.
    fn tags(html: &str) -> Vec<&str> {
        let tags = html.split('<').skip(1);
        tags.map(|tag| tag.split([' ', '>', '\n']).next().unwrap())
            .collect()
    }

    #[test]
    fn every_element_is_closed_in_order() {
        const EMPTY: [&str; 2] = ["!doctype", "meta"];
        let html = both();
        let mut open = Vec::new();
        for tag in tags(&html).into_iter().filter(|tag| !EMPTY.contains(tag)) {
            match tag.strip_prefix('/') {
                Some(name) => assert_eq!(open.pop(), Some(name)),
                None => open.push(tag),
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn it_shows_every_operation_with_its_body_and_answers() {
        let html = both();
        for shown in [
            "<h3><b class=\"method post\">POST</b> <code>/order-service/order/create</code></h3>",
            "<h3><b class=\"method get\">GET</b> <code>/api/v1/orders/{order_id}</code></h3>",
            "<code>items_ids</code> <em>required</em></th><td>list, 1 to 1000 of them, none twice; \
             each: text, 1 to 36 long</td>",
            "<td>whole number, -2147483648 to 2147483647; or text</td>",
            "curl 'http://shop.test:8000/api/v1/orders/ORD123'",
            "order-status?order_id=123e4567-e89b-12d3-a456-426614174000'",
            "curl -X POST 'http://shop.test:8000/api/v1/orders' \\\n  -H 'Content-Type: \
             application/json' \\\n  -d '{\n    &quot;order_id&quot;: &quot;order123&quot;,\n",
            "{&quot;status_code&quot;: 400, &quot;message&quot;: &quot;Validation Error&quot;}",
            "<b class=\"status bad\">409</b>",
            "<code>data.status_counts.Completed</code>",
            "<code>order_metrics.orders_by_status[].count</code>",
        ] {
            assert!(html.contains(shown), "{shown}");
        }
        let operations = tags(&html).iter().filter(|tag| **tag == "article").count();
        assert_eq!(operations, 6);
    }

    #[test]
    fn it_needs_no_script_and_nothing_from_elsewhere() {
        let html = both();
        for word in [
            "<script", "<img", "src=", "url(", "@import", "onclick", "https://", "<link",
        ] {
            assert!(!html.contains(word), "{word}");
        }
        let addresses = html.split("http://").skip(1);
        assert!(
            addresses
                .into_iter()
                .all(|rest| rest.starts_with("shop.test:8000/"))
        );
    }

    #[test]
    fn no_text_becomes_an_element() {
        let text = r#"<i title=\"x\">&`<u>`"#;
        let document = r#"{"info":{"title":"T","version":"T","description":"T"},
            "tags":[{"name":"T","description":"T"}],
            "paths":{"T":{"get":{"tags":["T"],"operationId":"T","summary":"T",
            "parameters":[{"name":"T","in":"query","description":"T","example":"T"}],
            "responses":{"T":{"description":"T","headers":{"T":{"description":"T"}},
            "content":{"T":{"example":"T","schema":{"properties":{"T":{"enum":["T"]}}}}}}}}}}}"#;
        let document = document.replace('T', text);
        let document = json::read(document.as_bytes()).unwrap();
        let html = page(&document, "<i>", "/\"><i>");
        assert!(!tags(&html).iter().any(|tag| matches!(*tag, "i" | "u")));
        assert!(html.contains("href=\"/&quot;&gt;&lt;i&gt;\""));
        assert!(html.contains("<code>&lt;u&gt;</code>"));
    }

    #[test]
    fn an_empty_document_is_a_page_too() {
        let html = page(&Json::Null, "", "");
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    }
}
