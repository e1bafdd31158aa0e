import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """These networks are too small to share; and bit equality needs the same number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
