//! Properties of packing, and its arrays against a slow token-by-token reference.
#![expect(clippy::cast_possible_wrap, clippy::float_cmp, reason = "rows are short, fractions exact")]

use p2o_core::pack::{Filled, IGNORED_LABEL, PackError, Packer, Packing, Rows, balance, fill};
use proptest::prelude::*;

fn pack(lengths: &[u32], budget: u32, ranks: usize, quadratic: f64) -> Result<Packing, PackError> {
    Packer::new(budget).ranks(ranks).quadratic(quadratic).pack(lengths)
}

fn cost(length: u32, quadratic: f64) -> f64 {
    let length = f64::from(length);
    length + quadratic * length * length
}

/// Rows that all fit, and the budget.
fn cases() -> impl Strategy<Value = (Vec<u32>, u32)> {
    (1u32..200).prop_flat_map(|budget| (prop::collection::vec(0..=budget, 0..80), Just(budget)))
}

/// Best-fit decreasing by looking at every bin for every row.
fn number_of_bins_by_search(lengths: &[u32], budget: u32) -> usize {
    let mut order: Vec<usize> = (0..lengths.len()).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(lengths[row]));
    let mut rooms: Vec<u32> = Vec::new();
    for row in order {
        match rooms.iter_mut().filter(|room| **room >= lengths[row]).min() {
            Some(room) => *room -= lengths[row],
            None => rooms.push(budget - lengths[row]),
        }
    }
    rooms.len()
}

proptest! {
    #[test]
    fn every_row_once_within_the_budget_and_equal_steps(
        (lengths, budget) in cases(),
        ranks in 1usize..9,
        quadratic in prop_oneof![Just(0.0), 0.0..0.1],
    ) {
        let packing = pack(&lengths, budget, ranks, quadratic).unwrap();
        let mut rows = packing.indices.clone();
        rows.sort_unstable();
        prop_assert!(rows.into_iter().eq(0..lengths.len() as u32));
        for bin in packing.bins() {
            prop_assert!(bin.iter().map(|&row| lengths[row as usize]).sum::<u32>() <= budget);
            prop_assert!(bin.is_sorted());
        }
        prop_assert_eq!(packing.bins().len(), packing.ranks.len());
        prop_assert_eq!(packing.ranks.len() % ranks, 0);
        let steps = packing.ranks.len() / ranks;
        for rank in 0..ranks as u32 {
            prop_assert_eq!(packing.ranks.iter().filter(|&&of| of == rank).count(), steps);
        }
        prop_assert!(packing.ranks.is_sorted());
        prop_assert!((0.0..=1.0).contains(&packing.fill));
    }

    #[test]
    fn the_bins_are_those_of_best_fit_decreasing((lengths, budget) in cases(), ranks in 1usize..9) {
        let expected = number_of_bins_by_search(&lengths, budget);
        prop_assert_eq!(pack(&lengths, budget, 1, 0.0).unwrap().bins().len(), expected);
        // Several ranks cost at most the bins that are missing to the next multiple.
        let packing = pack(&lengths, budget, ranks, 0.0).unwrap();
        prop_assert_eq!(packing.bins().len(), expected.next_multiple_of(ranks));
    }

    #[test]
    fn bins_are_empty_only_when_no_row_is_left_to_split_off((lengths, budget) in cases(), ranks in 1usize..9) {
        let packing = pack(&lengths, budget, ranks, 0.0).unwrap();
        if packing.bins().any(<[u32]>::is_empty) {
            prop_assert!(packing.bins().all(|bin| bin.len() <= 1));
        }
    }

    #[test]
    fn the_same_arguments_give_the_same_packing((lengths, budget) in cases(), ranks in 1usize..9) {
        let first = pack(&lengths, budget, ranks, 0.01).unwrap();
        prop_assert_eq!(pack(&lengths, budget, ranks, 0.01).unwrap(), first);
    }

    #[test]
    fn parts_differ_by_one_item_and_by_no_more_than_one_cost(
        costs in prop::collection::vec(0.0..1000.0f64, 0..100),
        parts in 1usize..9,
    ) {
        let part_of = balance(&costs, parts);
        let mut sizes = vec![0usize; parts];
        let mut totals = vec![0.0; parts];
        for (&part, &cost) in part_of.iter().zip(&costs) {
            sizes[part as usize] += 1;
            totals[part as usize] += cost;
        }
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
        let spread = totals.iter().copied().fold(f64::MIN, f64::max) - totals.iter().copied().fold(f64::MAX, f64::min);
        prop_assert!(spread <= costs.iter().copied().fold(0.0, f64::max) + 1e-9);
    }

    #[test]
    fn ranks_cost_about_the_same((lengths, budget) in cases(), ranks in 2usize..5) {
        let quadratic = 0.01;
        let packing = pack(&lengths, budget, ranks, quadratic).unwrap();
        let mut totals = vec![0.0; ranks];
        let mut heaviest: f64 = 0.0;
        for (bin, &rank) in packing.bins().zip(&packing.ranks) {
            let of_bin: f64 = bin.iter().map(|&row| cost(lengths[row as usize], quadratic)).sum();
            totals[rank as usize] += of_bin;
            heaviest = heaviest.max(of_bin);
        }
        let spread = totals.iter().copied().fold(f64::MIN, f64::max) - totals.iter().copied().fold(f64::MAX, f64::min);
        prop_assert!(spread <= heaviest + 1e-9);
    }
}

#[test]
fn worked_by_hand() {
    // 7; 5 + 3 (best fit, the bin of 7 has room for 1 only); 2 opens none: 5 + 3 is full at 8, 7 has 1 left.
    let packing = pack(&[3, 7, 2, 5], 8, 1, 0.0).unwrap();
    let bins: Vec<&[u32]> = packing.bins().collect();
    assert_eq!(bins, [&[0u32, 3][..], &[1], &[2]]);
    assert_eq!(packing.fill, 17.0 / 24.0);
}

#[test]
fn equal_lengths_go_by_index() {
    let packing = pack(&[4, 4, 4, 4], 8, 1, 0.0).unwrap();
    assert_eq!(packing.indices, [0, 1, 2, 3]);
    assert_eq!(packing.bin_offsets, [0, 2, 4]);
}

#[test]
fn rows_are_dealt_evenly_where_there_is_room() {
    // Best fit needs two bins, three ranks make three. With an L² cost: 5, then 4 and 4, then 3 to the lighter.
    let packing = pack(&[5, 3, 4, 4], 8, 3, 1.0).unwrap();
    let mut bins: Vec<&[u32]> = packing.bins().collect();
    bins.sort_unstable();
    assert_eq!(bins, [&[0u32][..], &[1, 2], &[3]]);
    assert_eq!(packing.ranks, [0, 1, 2]);
    // Best fit alone fills three bins of 64 and leaves 18 tokens to the fourth.
    let lengths: Vec<u32> = (1..=20).collect();
    let packing = pack(&lengths, 64, 2, 0.0).unwrap();
    let tokens: Vec<u32> =
        packing.bins().map(|rows| rows.iter().map(|&row| lengths[row as usize]).sum()).collect();
    assert_eq!(tokens.len(), 4);
    assert!(tokens.iter().all(|&sum| (51..=54).contains(&sum)), "{tokens:?}");
}

#[test]
fn a_round_goes_to_the_parts_with_the_least_so_far() {
    // 9 and 5 first, then 4 to the part of 5 and 1 to the part of 9.
    assert_eq!(balance(&[9.0, 5.0, 4.0, 1.0], 2), [0, 1, 1, 0]);
}

#[test]
fn rows_dealt_evenly_may_fill_a_bin_to_its_last_token() {
    let packing = pack(&[4, 4, 4, 4], 8, 2, 0.0).unwrap();
    assert_eq!(packing.indices, [0, 2, 1, 3]);
}

#[test]
fn a_bin_without_room_for_one_row_is_tried_again_for_the_next() {
    // Costs L + L²: 5 (30) in one bin, 3 + 3 (24) in the other. The last 3 finds no room in the less costly bin and goes
    // to the first; 2 fits the bin that was passed over.
    let packing = pack(&[5, 3, 3, 3, 2], 8, 2, 1.0).unwrap();
    let mut bins: Vec<&[u32]> = packing.bins().collect();
    bins.sort_unstable();
    assert_eq!(bins, [&[0u32, 3][..], &[1, 2, 4]]);
}

#[test]
fn the_quadratic_term_decides_what_is_balanced() {
    // Bins of one row each: two long, two short. Linear and quadratic costs pair long with short on each rank.
    let packing = pack(&[8, 8, 5, 5], 8, 2, 0.5).unwrap();
    for rank in 0..2 {
        let mut lengths: Vec<u32> = packing
            .bins()
            .zip(&packing.ranks)
            .filter(|&(_, &of)| of == rank)
            .map(|(bin, _)| [8, 8, 5, 5][bin[0] as usize])
            .collect();
        lengths.sort_unstable();
        assert_eq!(lengths, [5, 8]);
    }
}

#[test]
fn a_row_that_exactly_fills_the_budget_is_taken() {
    assert_eq!(pack(&[8, 8], 8, 1, 0.0).unwrap().fill, 1.0);
}

#[test]
fn no_rows_no_bins() {
    let packing = pack(&[], 8, 4, 0.0).unwrap();
    assert_eq!(packing.bins().len(), 0);
    assert_eq!(packing.fill, 1.0);
}

#[test]
fn errors_name_the_row_or_the_argument() {
    let message = |result: Result<Packing, PackError>| result.unwrap_err().to_string();
    assert_eq!(
        message(pack(&[3, 9, 12], 8, 1, 0.0)),
        "row 1 has 9 tokens, more than the budget of 8: raise the budget or shorten the row"
    );
    assert_eq!(pack(&[0], 0, 1, 0.0), Err(PackError::NoBudget));
    assert_eq!(pack(&[1], 8, 0, 0.0), Err(PackError::NoRanks));
    assert!(message(pack(&[1], 8, 1, -1.0)).starts_with("quadratic is -1"));
    assert!(message(pack(&[1], 8, 1, f64::NAN)).starts_with("quadratic is NaN"));
}

/// Owned rows for tests.
#[derive(Clone, Debug)]
struct Owned {
    tokens: Vec<i64>,
    offsets: Vec<i64>,
    prompt_lengths: Vec<i64>,
    advantages: Vec<f32>,
    trained: Vec<bool>,
    stream: Vec<f32>,
}

impl Owned {
    fn rows<'a>(&'a self, streams: &'a [(&'a str, &'a [f32])]) -> Rows<'a> {
        Rows {
            tokens: &self.tokens,
            offsets: &self.offsets,
            prompt_lengths: &self.prompt_lengths,
            advantages: &self.advantages,
            trained: &self.trained,
            streams,
        }
    }

    fn lengths(&self) -> Vec<u32> {
        self.offsets.windows(2).map(|edge| (edge[1] - edge[0]) as u32).collect()
    }
}

/// Prompts of 1..6 and responses of 0..8 tokens; every value differs from every other, so that a mix-up shows.
fn owned_rows() -> impl Strategy<Value = Owned> {
    prop::collection::vec((1i64..6, 0i64..8, any::<bool>()), 0..12).prop_map(|shapes| {
        let mut owned = Owned {
            tokens: Vec::new(),
            offsets: vec![0],
            prompt_lengths: Vec::new(),
            advantages: Vec::new(),
            trained: Vec::new(),
            stream: Vec::new(),
        };
        for (row, (prompt, response, trained)) in shapes.into_iter().enumerate() {
            for _ in 0..prompt + response {
                owned.tokens.push(1000 + owned.tokens.len() as i64);
            }
            for _ in 0..response {
                owned.stream.push(-1.0 - owned.stream.len() as f32);
            }
            owned.offsets.push(owned.tokens.len() as i64);
            owned.prompt_lengths.push(prompt);
            owned.advantages.push(10.0 + row as f32);
            owned.trained.push(trained);
        }
        owned
    })
}

/// What `fill` must write, one token after the other.
fn reference(packing: &Packing, owned: &Owned) -> Filled {
    let mut expected = Filled {
        token_offsets: vec![0],
        cu_seqlens_offsets: vec![0],
        streams: vec![Vec::new()],
        response_positions: vec![-1; owned.stream.len()],
        ..Filled::default()
    };
    for bin in packing.bins() {
        let start = expected.input_ids.len();
        expected.cu_seqlens.push(0);
        let mut longest = 0;
        for (sequence, &row) in bin.iter().enumerate() {
            let row = row as usize;
            let (begin, end) = (owned.offsets[row] as usize, owned.offsets[row + 1] as usize);
            let responses_before: i64 =
                (0..row).map(|r| owned.offsets[r + 1] - owned.offsets[r] - owned.prompt_lengths[r]).sum();
            for at in begin..end {
                let position = (at - begin) as i64;
                // The index, within the response, of the token that follows this position.
                let next = position + 1 - owned.prompt_lengths[row];
                let labelled = at + 1 < end && next >= 0;
                expected.labels.push(if labelled { owned.tokens[at + 1] } else { IGNORED_LABEL });
                expected.loss_mask.push(if labelled && owned.trained[row] { 1.0 } else { 0.0 });
                expected.advantages.push(if labelled { owned.advantages[row] } else { 0.0 });
                let response = (responses_before + next) as usize;
                expected.streams[0].push(if labelled { owned.stream[response] } else { 0.0 });
                if labelled {
                    expected.response_positions[response] = expected.input_ids.len() as i64;
                }
                expected.input_ids.push(owned.tokens[at]);
                expected.position_ids.push(position);
                expected.sequence_ids.push(sequence as i64);
            }
            longest = longest.max((end - begin) as i32);
            expected.cu_seqlens.push((expected.input_ids.len() - start) as i32);
        }
        expected.token_offsets.push(expected.input_ids.len() as i64);
        expected.cu_seqlens_offsets.push(expected.cu_seqlens.len() as i64);
        expected.max_seqlens.push(longest);
    }
    expected
}

proptest! {
    #[test]
    fn arrays_are_those_of_the_token_by_token_reference(owned in owned_rows(), ranks in 1usize..4) {
        let packing = pack(&owned.lengths(), 16, ranks, 0.0).unwrap();
        let streams = [("old_logp", &owned.stream[..])];
        let filled = fill(&packing, &owned.rows(&streams)).unwrap();
        prop_assert_eq!(&filled, &reference(&packing, &owned));
        // The inverse: gathering at the positions gives back the stream in row order.
        let gathered: Vec<f32> =
            filled.response_positions.iter().map(|&at| filled.streams[0][at as usize]).collect();
        prop_assert_eq!(gathered, owned.stream);
    }
}

#[test]
fn contradicting_arrays_are_named() {
    let owned = Owned {
        tokens: vec![5, 6, 7, 8, 9],
        offsets: vec![0, 3, 5],
        prompt_lengths: vec![1, 1],
        advantages: vec![1.0, 2.0],
        trained: vec![true, true],
        stream: vec![0.1, 0.2, 0.3],
    };
    let packing = pack(&owned.lengths(), 5, 1, 0.0).unwrap();
    let error = |change: &dyn Fn(&mut Owned)| {
        let mut owned = owned.clone();
        change(&mut owned);
        let streams = [("old_logp", &owned.stream[..])];
        fill(&packing, &owned.rows(&streams)).unwrap_err().to_string()
    };
    assert_eq!(error(&|o| o.stream.truncate(2)), "old_logp has 2 entries but the rows need 3");
    assert_eq!(error(&|o| o.trained.truncate(1)), "trained has 1 entries but the rows need 2");
    assert_eq!(error(&|o| o.advantages.push(0.0)), "advantages has 3 entries but the rows need 2");
    assert_eq!(error(&|o| o.offsets.truncate(2)), "offsets has 2 entries but the rows need 3");
    for (entry, offsets) in [(0, vec![1, 3, 5]), (1, vec![0, -2, 5]), (1, vec![0, 9, 5]), (2, vec![0, 3, 4])]
    {
        let message = error(&|o| o.offsets.clone_from(&offsets));
        assert_eq!(
            message,
            format!("offsets must rise from 0 to the number of tokens, 5 (entry {entry} does not)")
        );
    }
    let message = error(&|o| o.offsets = vec![0, 0, 5]);
    assert_eq!(message, "row 0 has 0 tokens but a prompt of 1: a prompt has from 1 to all of them");
    for prompt in [0, 4, -1] {
        let message = error(&|o| o.prompt_lengths[0] = prompt);
        assert_eq!(
            message,
            format!("row 0 has 3 tokens but a prompt of {prompt}: a prompt has from 1 to all of them")
        );
    }

    let streams: [(&str, &[f32]); 0] = [];
    let with = |packing: Packing| fill(&packing, &owned.rows(&streams)).unwrap_err();
    let of = |indices: Vec<u32>, bin_offsets: Vec<u32>| Packing {
        indices,
        bin_offsets,
        ranks: vec![0],
        fill: 1.0,
    };
    assert_eq!(with(of(vec![0, 2], vec![0, 2])), PackError::Row { row: 2, rows: 2 });
    assert_eq!(with(of(vec![1, 1], vec![0, 2])), PackError::Row { row: 1, rows: 2 });
    assert!(matches!(with(of(vec![1], vec![0, 1])), PackError::Length { found: 1, expected: 2, .. }));
    for edges in [vec![0, 3], vec![0, 1], vec![1, 2], vec![], vec![0, 3, 2]] {
        assert_eq!(with(of(vec![0, 1], edges)), PackError::Bins(2));
    }
}
