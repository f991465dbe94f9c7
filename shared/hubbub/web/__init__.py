"""What api and auth share towards browsers: cookies, XSRF, errors, headers, the look of pages."""
