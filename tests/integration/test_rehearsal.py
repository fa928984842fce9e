"""A slice of the rehearsal: real processes, a fifth of all calls going wrong, the daemon killed."""

from tests.proofs.rehearsal import rehearse


def test_with_faults_and_kills_nothing_is_doubled_lost_or_left_in_doubt(tmp_path):
    """I1, I3, P27: what was in doubt is found, journal and account agree, no traceback."""
    outcome = rehearse(tmp_path, 20, faults=0.2, speed=60, kills=True, seed=1)
    assert outcome.passed, outcome
