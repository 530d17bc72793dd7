//! The orders that are generated: order `n` of a seed is always the same one.
//!
//! Whole requests are rendered once as templates; sending an order copies one and patches its
//! number and its customer in. Pure, and free of allocation per order.

use super::notation::{Span, Weights};
use crate::cli::client::Target;

/// Distinct bodies apart from number and customer: enough for the mix, few enough for the cache.
const TEMPLATES: usize = 512;
/// Digits of an order's number in its id.
pub const NUMBER_DIGITS: usize = 9;
/// Digits of a customer's number.
const CUSTOMER_DIGITS: usize = 8;

const BATCH_PATH: &str = "/v1/orders/batch";
const SINGLE_PATH: &str = "/v1/orders";

/// What the generated orders look like.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Chooses everything else; the same seed makes the same orders.
    pub seed: u64,
    /// Shares of the priorities.
    pub priorities: Weights,
    /// Distinct customers, at least 1.
    pub customers: u64,
    /// Items per order.
    pub items: Span,
    /// The process, unless it is the server's default.
    pub process: Option<String>,
    /// What the ids begin with; `None` lets the server choose them.
    pub id_prefix: Option<String>,
}

/// Renders requests.
#[derive(Debug)]
pub struct Plan {
    templates: Vec<Template>,
    target: Target,
    seed: u64,
    customers: u64,
}

#[derive(Debug)]
struct Template {
    request: Vec<u8>,
    body_at: usize,
    number_at: Option<usize>,
    customer_at: usize,
}

impl Plan {
    /// Renders the templates of this mix for requests to `target`.
    pub fn new(mix: &Mix, target: &Target) -> Self {
        let templates = (0..TEMPLATES)
            .map(|index| Template::new(mix, index, target))
            .collect();
        Self {
            templates,
            target: target.clone(),
            seed: mix.seed,
            customers: mix.customers,
        }
    }

    /// Replaces `out` by the request that sends the orders `first .. first + count`.
    ///
    /// `count` is at least 1; one order goes to the single route, more to the batch route.
    pub fn render(&self, first: u64, count: u32, out: &mut Vec<u8>) {
        out.clear();
        if count == 1 {
            return self.append(first, 0, out);
        }
        let numbers = first..first + u64::from(count);
        let body_bytes = numbers
            .clone()
            .map(|number| self.template(number).body_bytes() + 1)
            .sum();
        self.target
            .write_post(BATCH_PATH, "application/x-ndjson", body_bytes, out);
        for number in numbers {
            self.append(number, self.template(number).body_at, out);
            out.push(b'\n');
        }
    }

    /// Appends the template of an order from byte `from` on, with its number and customer.
    fn append(&self, number: u64, from: usize, out: &mut Vec<u8>) {
        let template = self.template(number);
        let base = out.len();
        out.extend_from_slice(&template.request[from..]);
        let customer = mix(self.seed ^ 0xC057, number) % self.customers;
        patch(
            out,
            base + template.customer_at - from,
            CUSTOMER_DIGITS,
            customer,
        );
        if let Some(at) = template.number_at {
            patch(out, base + at - from, NUMBER_DIGITS, number);
        }
    }

    fn template(&self, number: u64) -> &Template {
        let index = mix(self.seed, number) % self.templates.len() as u64;
        &self.templates[index as usize]
    }
}

impl Template {
    fn new(mix: &Mix, index: usize, target: &Target) -> Self {
        let mut body = String::from("{");
        let mut number_at = None;
        if let Some(prefix) = &mix.id_prefix {
            body.push_str(&format!("\"order_id\":\"{prefix}"));
            number_at = Some(body.len());
            body.push_str(&format!("{:0NUMBER_DIGITS$}\",", 0));
        }
        body.push_str("\"customer_id\":\"customer-");
        let customer_at = body.len();
        body.push_str(&format!("{:0CUSTOMER_DIGITS$}\",\"items\":[", 0));
        let total = push_items(mix, index as u64, &mut body);
        let priority = mix.priorities.priority_at(index, TEMPLATES);
        body.push_str(&format!(
            "],\"total\":{{\"amount\":{total},\"currency\":\"USD\"}},\"priority\":{priority}"
        ));
        if let Some(process) = &mix.process {
            body.push_str(",\"process\":");
            body.push_str(&serde_json::Value::from(process.as_str()).to_string());
        }
        body.push('}');
        let mut request = Vec::new();
        target.write_post(SINGLE_PATH, "application/json", body.len(), &mut request);
        let body_at = request.len();
        request.extend_from_slice(body.as_bytes());
        Self {
            request,
            body_at,
            number_at: number_at.map(|at| at + body_at),
            customer_at: customer_at + body_at,
        }
    }

    fn body_bytes(&self) -> usize {
        self.request.len() - self.body_at
    }
}

/// Appends the items of template `index` and answers their sum in minor units.
fn push_items(settings: &Mix, index: u64, body: &mut String) -> u64 {
    let Span { from, to } = settings.items;
    let seed = mix(settings.seed ^ 0x17E5, index);
    let count = u64::from(from) + seed % u64::from(to - from + 1);
    let mut total = 0;
    for item in 0..count {
        let draw = mix(seed, item);
        let sku = draw % 100_000;
        let quantity = 1 + (draw >> 20) % 4;
        let price = 99 + (draw >> 32) % 20_000;
        let comma = if item == 0 { "" } else { "," };
        body.push_str(&format!(
            "{comma}{{\"sku\":\"sku-{sku:05}\",\"quantity\":{quantity},\"unit_price\":{price}}}"
        ));
        total += quantity * price;
    }
    total
}

/// Writes `value` in decimal, padded with zeros, over the `digits` bytes at `at`.
fn patch(bytes: &mut [u8], at: usize, digits: usize, mut value: u64) {
    for byte in bytes[at..at + digits].iter_mut().rev() {
        *byte = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// A number that looks random and depends on both arguments only.
///
/// One output of the SplitMix64 sequence of `seed`, place `index`. Source: Steele, Lea, Flood,
/// *Fast Splittable Pseudorandom Number Generators*, OOPSLA 2014.
pub fn mix(seed: u64, index: u64) -> u64 {
    let step = index.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mut z = seed.wrapping_add(step);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::Value;

    use super::*;

    fn plan(id_prefix: Option<&str>) -> Plan {
        let mix = Mix {
            seed: 7,
            priorities: Weights([1, 2, 7]),
            customers: 50,
            items: Span { from: 1, to: 5 },
            process: Some("night \"shift\"".to_owned()),
            id_prefix: id_prefix.map(str::to_owned),
        };
        Plan::new(&mix, &Target::parse("http://shop:1").unwrap())
    }

    fn request(plan: &Plan, first: u64, count: u32) -> (String, Vec<Value>) {
        let mut out = b"left over".to_vec();
        plan.render(first, count, &mut out);
        let text = String::from_utf8(out).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(
            head.contains(&format!("Content-Length: {}", body.len())),
            "{head}"
        );
        let orders = body
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (head.to_owned(), orders)
    }

    #[test]
    fn a_single_order_carries_its_number_and_adds_up() {
        let plan = plan(Some("load-run-"));
        for number in [0, 1, 123_456_789] {
            let (head, orders) = request(&plan, number, 1);
            assert!(
                head.starts_with("POST /v1/orders HTTP/1.1\r\nHost: shop:1\r\n"),
                "{head}"
            );
            let order = &orders[0];
            assert_eq!(order["order_id"], format!("load-run-{number:09}"));
            assert_eq!(order["process"], "night \"shift\"");
            let items = order["items"].as_array().unwrap();
            assert!((1..=5).contains(&items.len()));
            let line = |item: &Value| item["quantity"].as_u64().zip(item["unit_price"].as_u64());
            let sum: u64 = items
                .iter()
                .map(|item| line(item).map_or(0, |(q, p)| q * p))
                .sum();
            assert_eq!(order["total"]["amount"], sum);
        }
    }

    #[test]
    fn a_batch_holds_the_same_orders_as_single_requests() {
        let plan = plan(Some("load-run-"));
        let (head, orders) = request(&plan, 95, 10);
        assert!(head.starts_with("POST /v1/orders/batch "), "{head}");
        let singles: Vec<_> = (95..105)
            .flat_map(|number| request(&plan, number, 1).1)
            .collect();
        assert_eq!(orders, singles);
    }

    #[test]
    fn without_client_ids_the_server_chooses() {
        let (_, orders) = request(&plan(None), 5, 1);
        assert_eq!(orders[0].get("order_id"), None);
    }

    #[test]
    fn the_mix_is_as_asked() {
        let plan = plan(Some("p"));
        let orders: Vec<_> = (0..2_000)
            .flat_map(|number| request(&plan, number, 1).1)
            .collect();
        let customers: HashSet<_> = orders
            .iter()
            .map(|o| o["customer_id"].to_string())
            .collect();
        assert_eq!(customers.len(), 50);
        let high = orders.iter().filter(|order| order["priority"] == 1).count();
        assert!(
            (120..280).contains(&high),
            "{high} of 2,000 with a share of 1 in 10"
        );
    }
}
