"""The model card: what a model is, was trained on, and how good it is, for people.

This module does not know any kind of data, nor where the card is kept.
"""

from typing import Any

__all__ = ["model_card"]


def model_card(kind: str, facts: dict[str, Any], latent: int) -> str:
    """The card of a model, in Markdown.

    Args:
        kind: The kind of data.
        facts: An estimator's `facts_`.
        latent: Its number of latent dimensions.
    """
    lines = [
        f"# {kind.capitalize()} model made by variate {facts['variate']}",
        "",
        f"- trained on: {facts['source']}, {facts['training_rows']:,} items",
        f"- latent dimensions: {latent}",
        f"- beta, the weight of the KL: {facts.get('beta')} (1 is the ELBO)",
        f"- training stopped: {facts.get('stopped', 'not known')}, "
        f"after {facts.get('steps', 0):,} steps and {facts.get('seconds', 0.0):,.1f} s",
    ]
    if facts.get("rare_values"):
        shown = ", ".join(f"{name} ({count:,})" for name, count in facts["rare_values"].items())
        lines += [f"- values that fewer than five rows have, and drawn rows may repeat: {shown}"]
    private = facts.get("privacy")
    if private is not None:
        lines += [
            f"- differential privacy: ε = {private['epsilon']:.3g} at δ = {private['delta']:g} "
            f"({private['steps']:,} steps of DP-SGD, noise {private['noise_multiplier']:.3g}, "
            f"sampling rate {private['sampling_rate']:.3g}; {private['accountant']} accountant)",
            f"  - covered: {private['covers']}",
            f"  - not covered: {private['does_not_cover']}",
        ]
    if facts.get("second_stage"):
        told = facts["second_stage"]
        gain = (
            f": {told['nats_before']:.3f} nats per code before, {told['nats_after']:.3f} after"
            if "nats_before" in told and "nats_after" in told
            else ""
        )
        lines.append(f"- the prior was fitted to {told['codes']:,} codes afterwards{gain}")
    held_out = facts.get("held_out", {})
    if held_out.get("elbo") is not None:
        lines += [
            f"- measured on {held_out['rows']:,} rows that training never saw, per row:",
            f"  - log-likelihood: {held_out['log_likelihood']:.3f} nats "
            f"(importance-weighted bound, {held_out['draws']} draws)",
            f"  - ELBO: {held_out['elbo']:.3f} nats",
            f"  - KL: {held_out['kl']:.3f} nats",
            f"  - active units: {held_out['active_units']} of {latent}",
        ]
    return "\n".join([*lines, ""])
