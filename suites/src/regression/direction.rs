//! Which way a metric is better, by its name.
//!
//! A name is read as words: `val/diceLoss` is `val`, `dice`, `loss`. What is known of a word counts from the last one on, so
//! that a `dice_loss` is a loss and an `error_recall` is a recall; a loss is one wherever the word stands (`loss_iou`,
//! `losses/dice`), for that is how detection frameworks name theirs.

use serde::{Deserialize, Serialize};

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// More is better: a rate, an accuracy.
    Higher,
    /// Less is better: a time, a loss, memory.
    Lower,
}

/// Words of which more is better, in lines of them. Of two that end at the same word the longer one counts.
const HIGHER: &[&str] = &[
    // How fast, and how well the machine is used.
    "per_second per_sec throughput bandwidth speedup fps share_of_ceiling efficiency",
    // How often it is right.
    "accuracy acc precision recall sensitivity specificity f1 fbeta f_beta auc auroc ap m_ap",
    "average_precision mcc matthews_corrcoef cohen_kappa kappa exact_match hit_rate ndcg mrr",
    "true_positives true_negatives top1 top5",
    // How much one picture, text or series is like another.
    "iou io_u miou giou jaccard dice psnr ssim similarity bleu rouge meteor r2 pearson spearman",
    "corrcoef explained_variance likelihood elbo reward snr sdr pesq stoi",
];

/// Words of which less is better.
const LOWER: &[&str] = &[
    // How wrong it is.
    "error err mae mse rmse mape smape msle rmsle crossentropy cross_entropy entropy_loss bce nll",
    "perplexity ppl divergence kld kl_div hinge logcosh cer wer mer wil fid kid lpips hamming_distance",
    "hausdorff false_positives false_negatives fpr fnr miss_rate regret brier",
    // How long it takes, and what it needs.
    "latency runtime duration seconds secs ms us memory vram bytes",
];

/// Where in a distribution: said of times, where no other word says of what.
const PERCENTILES: &[&str] = &["p50 p90 p95 p99"];

/// The words of a list.
fn each<'a>(lines: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    lines.iter().flat_map(|line| line.split(' '))
}

impl Direction {
    /// What the name says, e.g. `fp32/items_per_second`; `None` where it says nothing.
    pub fn of(metric: &str) -> Option<Self> {
        // What is known beforehand is not measured.
        if metric.starts_with("golden/") {
            return None;
        }
        let parts = Vec::from_iter(metric.split('/').map(words));
        let last = parts.last()?;
        if parts.iter().any(|words| is_loss(words)) {
            return Some(if is_negated(last) { Self::Higher } else { Self::Lower });
        }
        let found = [(HIGHER, Self::Higher), (LOWER, Self::Lower)]
            .into_iter()
            .flat_map(|(known, direction)| {
                each(known).filter_map(move |word| Some((ends(last, word)?, direction)))
            })
            .max_by_key(|(place, _)| *place);
        match found {
            Some((_, direction)) if is_negated(last) => Some(direction.turned()),
            Some((_, direction)) => Some(direction),
            None => each(PERCENTILES).any(|word| ends(last, word).is_some()).then_some(Self::Lower),
        }
    }

    fn turned(self) -> Self {
        match self {
            Self::Higher => Self::Lower,
            Self::Lower => Self::Higher,
        }
    }

    /// By which share of `from` it is worse at `to`: negative where it is better, infinite where `from` is nothing.
    pub fn worsening(self, from: f64, to: f64) -> f64 {
        let change = match self {
            Self::Higher => from - to,
            Self::Lower => to - from,
        };
        // Nothing of nothing is nothing, and no NaN.
        if change.abs() > 0.0 { change / from.abs() } else { 0.0 }
    }
}

/// The words of a part of a name, in lower case: `meanIoU` is `mean`, `io`, `u`; `MSELoss` is `mse`, `loss`.
fn words(part: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let characters = Vec::from_iter(part.chars());
    for (at, character) in characters.iter().enumerate() {
        if !character.is_alphanumeric() {
            words.push(String::new());
            continue;
        }
        let before = at.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(at + 1);
        let begins = character.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase()
                    || before.is_ascii_digit()
                    // The last letter of `MSELoss` that is followed by a small one.
                    || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(character.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The place behind a known word where it last stands, and how many words it is.
fn ends(words: &[String], known: &str) -> Option<(usize, usize)> {
    let wanted = Vec::from_iter(known.split('_'));
    let at = words.windows(wanted.len()).rposition(|window| window == wanted)?;
    Some((at + wanted.len(), wanted.len()))
}

/// Whether the words name a loss. The scale of a loss is none, and neither is what is lost of something that is counted.
fn is_loss(words: &[String]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        matches!(word.as_str(), "loss" | "losses")
            && !words
                .get(at + 1)
                .is_some_and(|next| matches!(next.as_str(), "scale" | "weight" | "scaling" | "count"))
    })
}

/// Whether the words are turned round: scikit-learn's `neg_log_loss` and `neg_mean_squared_error` are better where they are
/// more, and a negative log-likelihood is better where it is less.
fn is_negated(words: &[String]) -> bool {
    words.iter().any(|word| matches!(word.as_str(), "neg" | "negative" | "inverse"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names as the frameworks write them.
    const HIGHER: &[&str] = &[
        // This project's.
        "fp32/items_per_second bf16/batch=16/items_per_second eval/iou f1 fp32/share_of_ceiling",
        // Keras.
        "val_accuracy sparse_categorical_accuracy top_k_categorical_accuracy binary_accuracy auc",
        "val_auc precision recall_1 mean_io_u cosine_similarity f1_score fbeta_score r2_score",
        "true_positives dice_coef val_dice_coefficient",
        // Lightning, torchmetrics.
        "val/acc test_acc_epoch MulticlassAccuracy BinaryAUROC MeanAveragePrecision val_f1 psnr",
        "ms_ssim StructuralSimilarityIndexMeasure/ssim jaccard cohen_kappa MatthewsCorrCoef/mcc bleu",
        "rouge1_fmeasure/rouge pearson_corrcoef explained_variance retrieval_hit_rate ndcg@10 si_snr",
        "mIoU meanIoU mAP val/mAP_50",
        // Weights & Biases, Hugging Face, scikit-learn.
        "eval_samples_per_second eval/steps_per_second tokens_per_sec gpu/fps train_steps_per_second",
        "eval_exact_match memory_bandwidth neg_mean_squared_error neg_log_loss log_likelihood",
        "episode_reward throughput_p99 bytes_per_second",
    ];

    const LOWER: &[&str] = &[
        // This project's.
        "loss fp32/latency_p99_ms peak_memory_bytes step_seconds mixed/loss",
        // Keras.
        "val_loss mae mean_absolute_error root_mean_squared_error mean_squared_logarithmic_error msle",
        "mean_absolute_percentage_error kullback_leibler_divergence logcosh hinge binary_crossentropy",
        "val_categorical_crossentropy false_positives output_1_loss",
        // Lightning, torchmetrics.
        "train_loss_step train_loss_epoch val/dice_loss iou_loss ssim_loss val/diceLoss MSELoss",
        "BCEWithLogitsLoss perceptual_lpips fid wer char_error_rate calibration_error perplexity",
        "hamming_distance accuracy_loss recall_error precision_err nll negative_log_likelihood",
        // Detection: the kind of loss comes after the word, or in the part before.
        "loss_iou loss_dice loss/dice losses/bbox train/box_loss decode.loss_ce loss_box_reg",
        // Weights & Biases, Hugging Face.
        "eval_runtime train_runtime gpu_memory_allocated peak_vram_mb time/latency dice_seconds",
        "psnr_ms request/p95 eval/rmse",
    ];

    #[test]
    fn a_name_says_which_way_is_better() {
        for (names, wanted) in [(HIGHER, Direction::Higher), (LOWER, Direction::Lower)] {
            for name in each(names) {
                assert_eq!(Direction::of(name), Some(wanted), "{name}");
            }
        }
    }

    #[test]
    fn a_name_that_says_nothing_is_not_judged() {
        let names = [
            "forms learning_rate lr epoch global_step grad_norm hp_metric loss_scale / golden/loss",
            "batch_size num_samples timestamp mapping usage seed lossless_ratio rows/errors",
            "fp32/ceiling_gflops",
        ];
        for name in each(&names).chain([""]) {
            assert_eq!(Direction::of(name), None, "{name}");
        }
    }

    #[test]
    fn worse_is_a_positive_share_either_way() {
        assert_eq!(Some(Direction::Higher.worsening(100.0, 95.0)), Some(0.05));
        assert_eq!(Some(Direction::Lower.worsening(100.0, 105.0)), Some(0.05));
        assert_eq!(Some(Direction::Lower.worsening(-2.0, -1.0)), Some(0.5));
        assert_eq!(Some(Direction::Lower.worsening(0.0, 0.0)), Some(0.0));
        assert_eq!(Some(Direction::Lower.worsening(0.0, 1e-9)), Some(f64::INFINITY));
    }
}
