"""What the test programs of this folder share."""
from contextlib import contextmanager


@contextmanager
def raises(kind, text):
    try:
        yield
    except kind as e:
        assert text in str(e), e
    else:
        raise AssertionError(f"no error: {text}")


def run(namespace):
    """Calls all that is named test_."""
    tests = [f for name, f in namespace.items() if name.startswith("test_")]
    for f in tests:
        f()
    print(f"{len(tests)} tests passed")
