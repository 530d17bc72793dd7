//! Latency against load as a picture: an SVG written by hand, with a logarithmic axis for time.
//!
//! Pure: a record in, text out.

use std::fmt::Write as _;

use super::latency::{self, PERCENTS};
use super::record::Record;
use super::tables::grouped;

const WIDTH: f64 = 800.0;
const HEIGHT: f64 = 480.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 770.0;
const TOP: f64 = 108.0;
const BOTTOM: f64 = 424.0;

/// One curve.
struct Line {
    label: &'static str,
    side: &'static str,
    figure: &'static str,
    colour: &'static str,
    dashes: &'static str,
}

const LINES: [Line; 4] = [
    Line {
        label: "orderd p99",
        side: "orderd",
        figure: "p99_ms",
        colour: "#1d4ed8",
        dashes: "none",
    },
    Line {
        label: "orderd p50",
        side: "orderd",
        figure: "p50_ms",
        colour: "#60a5fa",
        dashes: "none",
    },
    Line {
        label: "floor p99",
        side: "floor",
        figure: "p99_ms",
        colour: "#57534e",
        dashes: "6 4",
    },
    Line {
        label: "floor p50",
        side: "floor",
        figure: "p50_ms",
        colour: "#a8a29e",
        dashes: "6 4",
    },
];

/// Where values lie on the picture.
struct Axes {
    rate_max: f64,
    decade_min: i32,
    decade_max: i32,
}

impl Axes {
    fn around(points: &[(f64, f64)]) -> Self {
        let rates = points.iter().map(|(rate, _)| *rate);
        let times = || points.iter().map(|(_, ms)| ms.max(0.01));
        let least = times().fold(f64::INFINITY, f64::min).log10().floor();
        let most = times().fold(f64::NEG_INFINITY, f64::max).log10().ceil();
        Self {
            rate_max: rates.fold(1.0, f64::max) * 1.04,
            decade_min: least as i32,
            decade_max: (most as i32).max(least as i32 + 1),
        }
    }

    fn x(&self, rate: f64) -> f64 {
        LEFT + (RIGHT - LEFT) * rate / self.rate_max
    }

    fn y(&self, ms: f64) -> f64 {
        let decades = f64::from(self.decade_max - self.decade_min);
        let part = (ms.max(0.01).log10() - f64::from(self.decade_min)) / decades;
        BOTTOM - (BOTTOM - TOP) * part
    }

    /// Distance between marks on the axis of rates: 1, 2 or 5 times a power of ten, at most eight.
    fn rate_step(&self) -> f64 {
        let rough = self.rate_max / 8.0;
        let power = 10_f64.powf(rough.log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * power);
        steps
            .into_iter()
            .find(|step| *step >= rough)
            .unwrap_or(10.0 * power)
    }
}

/// The picture; `None` if no latency was measured.
pub fn draw(record: &Record) -> Option<String> {
    let curves = LINES.map(|line| {
        let points = points(record, &line);
        (line, points)
    });
    let all: Vec<(f64, f64)> = curves
        .iter()
        .flat_map(|(_, points)| points.clone())
        .collect();
    if all.is_empty() {
        return None;
    }
    let axes = Axes::around(&all);
    let mut svg = String::new();
    open(&mut svg, record);
    draw_axes(&mut svg, &axes);
    for (index, (line, points)) in curves.iter().enumerate() {
        draw_line(&mut svg, &axes, line, points);
        draw_legend(&mut svg, line, index);
    }
    svg.push_str("</svg>\n");
    Some(svg)
}

fn points(record: &Record, line: &Line) -> Vec<(f64, f64)> {
    let point = |percent: u32| {
        let name = latency::name(percent);
        let rate = record.median(&name, line.side, "rate")?;
        Some((rate, record.median(&name, line.side, line.figure)?))
    };
    PERCENTS.into_iter().filter_map(point).collect()
}

fn open(svg: &mut String, record: &Record) {
    let cpu = escaped(&record.machine.cpu);
    let (cores, date) = (record.machine.cores, escaped(&record.date));
    let _ = write!(
        svg,
        r##"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"
  font-family="system-ui, sans-serif" font-size="13" fill="#44403c">
<title>Latency of accepting an order against load</title>
<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>
<text x="{LEFT}" y="32" font-size="18" font-weight="600" fill="#1c1917">Latency against load</text>
<text x="{LEFT}" y="52">Accepting one durable order per request, open loop, 256 connections</text>
<text x="{LEFT}" y="70" fill="#78716c">{cpu}, {cores} cores, {date}</text>
"##
    );
}

fn draw_axes(svg: &mut String, axes: &Axes) {
    for decade in axes.decade_min..=axes.decade_max {
        let ms = 10_f64.powi(decade);
        let (y, label) = (axes.y(ms), format!("{ms} ms"));
        let _ = writeln!(
            svg,
            r##"<path d="M{LEFT} {y:.1}H{RIGHT}" stroke="#d6d3d1"/>
<text x="{}" y="{:.1}" text-anchor="end">{label}</text>"##,
            LEFT - 8.0,
            y + 4.0
        );
        if decade < axes.decade_max {
            for part in 2..=9 {
                let y = axes.y(ms * f64::from(part));
                let path = format!("M{LEFT} {y:.1}H{RIGHT}");
                let _ = writeln!(svg, r##"<path d="{path}" stroke="#f5f5f4"/>"##);
            }
        }
    }
    let step = axes.rate_step();
    let mut rate = 0.0;
    while rate <= axes.rate_max {
        let x = axes.x(rate);
        let label = grouped(rate);
        let _ = writeln!(
            svg,
            r##"<path d="M{x:.1} {BOTTOM}v5" stroke="#78716c"/>
<text x="{x:.1}" y="{}" text-anchor="middle">{label}</text>"##,
            BOTTOM + 21.0
        );
        rate += step;
    }
    let middle = (LEFT + RIGHT) / 2.0;
    let _ = writeln!(
        svg,
        r##"<path d="M{LEFT} {TOP}V{BOTTOM}H{RIGHT}" stroke="#78716c" fill="none"/>
<text x="{middle}" y="{}" text-anchor="middle">orders per second</text>"##,
        BOTTOM + 45.0
    );
}

fn draw_line(svg: &mut String, axes: &Axes, line: &Line, points: &[(f64, f64)]) {
    let (colour, label) = (line.colour, line.label);
    let places: Vec<String> = points
        .iter()
        .map(|(rate, ms)| format!("{:.1},{:.1}", axes.x(*rate), axes.y(*ms)))
        .collect();
    let _ = writeln!(
        svg,
        r##"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"
  stroke-dasharray="{}"/>"##,
        places.join(" "),
        line.dashes
    );
    for (rate, ms) in points {
        let (x, y, at) = (axes.x(*rate), axes.y(*ms), grouped(*rate));
        let _ = writeln!(
            svg,
            r##"<circle cx="{x:.1}" cy="{y:.1}" r="3.5" fill="{colour}">
<title>{label}: {ms:.2} ms at {at}/s</title></circle>"##
        );
    }
}

fn draw_legend(svg: &mut String, line: &Line, index: usize) {
    let (x, y) = (LEFT + 130.0 * index as f64, TOP - 14.0);
    let _ = writeln!(
        svg,
        r##"<path d="M{x} {}h26" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>
<text x="{}" y="{y}">{}</text>"##,
        y - 4.0,
        line.colour,
        line.dashes,
        x + 32.0,
        line.label
    );
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{block, record};
    use super::*;

    fn measured() -> Record {
        let mut blocks = Vec::new();
        for (percent, ms) in PERCENTS.into_iter().zip([0.4, 0.5, 0.9, 4.0, 30.0]) {
            for (side, factor) in [("floor", 0.5), ("orderd", 1.0)] {
                let figures = [
                    ("rate", f64::from(percent) * 370.0),
                    ("p50_ms", ms * factor),
                    ("p99_ms", ms * factor * 4.0),
                ];
                blocks.push(block(&latency::name(percent), side, 1, &figures));
            }
        }
        let mut record = record(blocks);
        record.machine.cpu = "A & B <fast>".to_owned();
        record
    }

    /// Fails unless every element is closed in its order; answers how many there were.
    fn elements(svg: &str) -> usize {
        let mut open = Vec::new();
        let mut count = 0;
        for part in svg.split('<').skip(1) {
            let (tag, text) = part.split_once('>').expect("a tag ends");
            assert!(!text.contains('>'), "{text}");
            assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            let name = tag
                .split([' ', '\n', '/'])
                .find(|word| !word.is_empty())
                .unwrap();
            if tag.starts_with('/') {
                assert_eq!(open.pop(), Some(name.to_owned()));
                continue;
            }
            count += 1;
            if !tag.ends_with('/') {
                open.push(name.to_owned());
            }
        }
        assert!(open.is_empty(), "{open:?}");
        count
    }

    #[test]
    fn the_picture_is_well_formed_and_whole() {
        let svg = draw(&measured()).unwrap();
        assert!(elements(&svg) > 60);
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert_eq!(svg.matches("<circle").count(), 20);
        assert!(svg.contains("A &amp; B &lt;fast&gt;"));
        assert!(
            svg.contains(">0.1 ms<") && svg.contains(">1000 ms<"),
            "{svg}"
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn higher_is_slower_and_right_is_more() {
        let axes = Axes::around(&[(100.0, 0.2), (1_000.0, 50.0)]);
        assert_eq!((axes.decade_min, axes.decade_max), (-1, 2));
        assert!(axes.y(50.0) < axes.y(0.2) && axes.x(1_000.0) > axes.x(100.0));
        assert!((axes.y(0.1) - BOTTOM).abs() < 1e-9);
        assert_eq!(axes.rate_step(), 200.0);
    }

    #[test]
    fn without_latencies_there_is_no_picture() {
        assert_eq!(draw(&record(Vec::new())), None);
    }
}
