//! Medians, and ratios of blocks that ran next to each other.
//!
//! Pure arithmetic. A ratio of medians would mix rounds; a median of paired ratios does not, so a
//! machine that slows down during the run disturbs it less.

/// The middle value; between two middle ones their mean. `None` without values.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    Some(match sorted.len() % 2 {
        0 => (sorted[middle - 1] + upper) / 2.0,
        _ => *upper,
    })
}

/// Paired ratios of one figure: their median and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ratio {
    /// The median of the ratios of each round.
    pub median: f64,
    /// The smallest of them.
    pub min: f64,
    /// The largest of them.
    pub max: f64,
    /// How many rounds had both sides.
    pub pairs: usize,
}

/// The ratios `of / to`, paired by round. `None` if no round has both.
pub fn paired(of: &[(u32, f64)], to: &[(u32, f64)]) -> Option<Ratio> {
    let mut ratios = Vec::new();
    for (round, value) in of {
        let partner = to.iter().find(|(other, _)| other == round);
        ratios.extend(
            partner
                .filter(|(_, to)| *to > 0.0)
                .map(|(_, to)| value / to),
        );
    }
    Some(Ratio {
        median: median(&ratios)?,
        min: ratios.iter().copied().fold(f64::INFINITY, f64::min),
        max: ratios.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        pairs: ratios.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_the_mean_of_the_two_middle_ones() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0]), Some(3.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 3.0, 2.0]), Some(2.5));
    }

    #[test]
    fn ratios_are_paired_by_round_and_not_by_place() {
        let floor = [(1, 100.0), (2, 50.0), (3, 80.0)];
        let orderd = [(3, 40.0), (2, 40.0), (1, 70.0), (4, 1.0)];
        let ratio = paired(&orderd, &floor).unwrap();
        assert_eq!(ratio.pairs, 3);
        assert!((ratio.median - 0.7).abs() < 1e-9);
        assert!((ratio.min - 0.5).abs() < 1e-9);
        assert!((ratio.max - 0.8).abs() < 1e-9);
    }

    #[test]
    fn without_pairs_there_is_no_ratio() {
        assert_eq!(paired(&[(1, 2.0)], &[(2, 2.0)]), None);
        assert_eq!(paired(&[(1, 2.0)], &[(1, 0.0)]), None);
    }
}
