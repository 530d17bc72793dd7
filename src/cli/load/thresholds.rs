//! Thresholds: what a run must reach, written as `p99<15ms`, `accepted_rate>10000`, `refused<1%`.
//! Pure: a threshold is parsed from text and judged against measured values.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

use super::notation;

/// What can be measured: a name, and the unit that its limit is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    name: &'static str,
    unit: Unit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// A time; measured in microseconds.
    Time,
    /// A number per second.
    Rate,
    /// A number of orders or errors, or with `%` its share of the orders sent.
    Count,
}

/// Every metric that a threshold may name.
pub const METRICS: [Metric; 22] = [
    Metric {
        name: "min",
        unit: Unit::Time,
    },
    Metric {
        name: "mean",
        unit: Unit::Time,
    },
    Metric {
        name: "p50",
        unit: Unit::Time,
    },
    Metric {
        name: "p75",
        unit: Unit::Time,
    },
    Metric {
        name: "p90",
        unit: Unit::Time,
    },
    Metric {
        name: "p95",
        unit: Unit::Time,
    },
    Metric {
        name: "p99",
        unit: Unit::Time,
    },
    Metric {
        name: "p99.9",
        unit: Unit::Time,
    },
    Metric {
        name: "p99.99",
        unit: Unit::Time,
    },
    Metric {
        name: "max",
        unit: Unit::Time,
    },
    Metric {
        name: "refused_p99",
        unit: Unit::Time,
    },
    Metric {
        name: "accepted_rate",
        unit: Unit::Rate,
    },
    Metric {
        name: "request_rate",
        unit: Unit::Rate,
    },
    Metric {
        name: "final_rate",
        unit: Unit::Rate,
    },
    Metric {
        name: "accepted",
        unit: Unit::Count,
    },
    Metric {
        name: "existing",
        unit: Unit::Count,
    },
    Metric {
        name: "refused",
        unit: Unit::Count,
    },
    Metric {
        name: "errors",
        unit: Unit::Count,
    },
    Metric {
        name: "aborted",
        unit: Unit::Count,
    },
    Metric {
        name: "missing",
        unit: Unit::Count,
    },
    Metric {
        name: "open",
        unit: Unit::Count,
    },
    Metric {
        name: "dead",
        unit: Unit::Count,
    },
];

/// What a run measured: a value for the metric of this name, and the orders sent.
///
/// Times are microseconds. `None`: it was not measured, for instance because nothing was verified.
pub trait Measured {
    /// The value of a metric.
    fn value(&self, name: &str) -> Option<f64>;
    /// The orders sent: what a percentage is taken of.
    fn orders_sent(&self) -> f64;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Below,
    AtMost,
    Above,
    AtLeast,
    Equal,
}

const COMPARISONS: [(&str, Comparison); 6] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("==", Comparison::Equal),
    ("<", Comparison::Below),
    (">", Comparison::Above),
    ("=", Comparison::Equal),
];

/// One threshold.
#[derive(Clone, Debug, PartialEq)]
pub struct Threshold {
    text: String,
    metric: Metric,
    comparison: Comparison,
    limit: f64,
    percent: bool,
}

/// A threshold after the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Judgement {
    /// The threshold as it was written.
    pub threshold: String,
    /// Whether it was met. What was not measured is not met.
    pub met: bool,
    /// The measured value with its unit, for people.
    pub measured: String,
}

impl Threshold {
    /// Judges the threshold.
    pub fn judge(&self, measured: &impl Measured) -> Judgement {
        let threshold = self.text.clone();
        let Some(value) = self.measure(measured) else {
            return Judgement {
                threshold,
                met: false,
                measured: "not measured".to_owned(),
            };
        };
        let met = match self.comparison {
            Comparison::Below => value < self.limit,
            Comparison::AtMost => value <= self.limit,
            Comparison::Above => value > self.limit,
            Comparison::AtLeast => value >= self.limit,
            Comparison::Equal => (value - self.limit).abs() < f64::EPSILON,
        };
        Judgement {
            threshold,
            met,
            measured: self.show(value),
        }
    }

    fn measure(&self, measured: &impl Measured) -> Option<f64> {
        let value = measured.value(self.metric.name)?;
        if !self.percent {
            return Some(value);
        }
        let sent = measured.orders_sent();
        (sent > 0.0).then(|| value / sent * 100.0)
    }

    fn show(&self, value: f64) -> String {
        match self.metric.unit {
            _ if self.percent => format!("{value:.2}%"),
            Unit::Time => notation::micros(value.round() as u64),
            Unit::Rate => format!("{}/s", notation::grouped(value.round() as i128)),
            Unit::Count => notation::grouped(value.round() as i128),
        }
    }
}

impl FromStr for Threshold {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (at, (sign, comparison)) = COMPARISONS
            .into_iter()
            .filter_map(|entry| text.find(entry.0).map(|at| (at, entry)))
            .min_by_key(|(at, (sign, _))| (*at, usize::MAX - sign.len()))
            .ok_or_else(|| format!("'{text}' has no comparison: write it as p99<15ms"))?;
        let name = text[..at].trim();
        let metric = METRICS
            .into_iter()
            .find(|metric| metric.name == name)
            .ok_or_else(|| {
                let names: Vec<_> = METRICS.iter().map(|metric| metric.name).collect();
                format!(
                    "'{name}' is not measured; it can be one of {}",
                    names.join(", ")
                )
            })?;
        let limit = text[at + sign.len()..].trim();
        let (limit, percent) = limit_of(limit, metric.unit)
            .map_err(|why| format!("the limit of '{text}' is wrong: {why}"))?;
        Ok(Self {
            text: text.to_owned(),
            metric,
            comparison,
            limit,
            percent,
        })
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn limit_of(text: &str, unit: Unit) -> Result<(f64, bool), String> {
    let number = |digits: &str| match digits.trim().parse::<f64>() {
        Ok(value) if value.is_finite() && value >= 0.0 => Ok(value),
        _ => Err(format!("'{digits}' is not a number")),
    };
    match unit {
        Unit::Time => {
            let limit: Duration = notation::duration(text)?;
            Ok((limit.as_secs_f64() * 1_000_000.0, false))
        }
        Unit::Rate => {
            let digits = text.strip_suffix("/s").unwrap_or(text);
            let limit = notation::count(digits).map(|count| count as f64);
            Ok((limit.or_else(|_| number(digits))?, false))
        }
        Unit::Count => match text.strip_suffix('%') {
            Some(digits) => Ok((number(digits)?, true)),
            None => Ok((notation::count(text)? as f64, false)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;

    impl Measured for Fixed {
        fn value(&self, name: &str) -> Option<f64> {
            match name {
                "p99" => Some(14_999.0),
                "accepted_rate" => Some(12_345.6),
                "refused" => Some(5.0),
                "errors" => Some(0.0),
                _ => None,
            }
        }

        fn orders_sent(&self) -> f64 {
            1_000.0
        }
    }

    #[test]
    fn judges_what_was_measured() {
        let cases = [
            ("p99<15ms", true, "14.9 ms"),
            ("p99 < 14ms", false, "14.9 ms"),
            ("accepted_rate>10000", true, "12,346/s"),
            ("accepted_rate >= 20k/s", false, "12,346/s"),
            ("refused<1%", true, "0.50%"),
            ("refused<=5", true, "5"),
            ("refused<0.5%", false, "0.50%"),
            ("errors==0", true, "0"),
            ("errors=0", true, "0"),
            ("missing==0", false, "not measured"),
        ];
        for (text, met, measured) in cases {
            let judgement = text.parse::<Threshold>().unwrap().judge(&Fixed);
            assert_eq!(
                (judgement.met, judgement.measured.as_str()),
                (met, measured),
                "{text}"
            );
            assert_eq!(judgement.threshold, text);
        }
    }

    #[test]
    fn refuses_what_cannot_be_judged() {
        for text in [
            "p99",
            "p98<1ms",
            "p99<15",
            "p99<1%",
            "errors<x",
            "refused<-1%",
            "<1",
            "",
        ] {
            assert!(text.parse::<Threshold>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_metric_can_be_named() {
        for metric in METRICS {
            let limit = if metric.unit == Unit::Time { "1s" } else { "1" };
            assert!(
                format!("{}<{limit}", metric.name)
                    .parse::<Threshold>()
                    .is_ok()
            );
        }
    }
}
