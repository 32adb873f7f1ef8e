"""`python -m tests.ui.serve_small_page …`: small_page.py, begun as `python app.py` begins."""

from realfill.garbage import collect_rarely
from ui.quick_import import skip_interface_files

if __name__ == "__main__":
    collect_rarely()
    skip_interface_files()
    from tests.ui.small_page import main

    main()
