"""Does a server keep its promises over changes, kills, lost lakes and too many callers? Each with a real server."""
